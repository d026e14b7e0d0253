import { test } from "tap";
import { AddressRate } from "../../src/address-rate.ts";
import { Places } from "../../src/mqtt/places.ts";
import { ManualClock } from "../store/manual-clock.ts";

const unpaced = new AddressRate(0, new ManualClock());

await test("there is place for so many, in all and from each address, and a place given back once counts once", (t) => {
  const places = new Places({ connections: 3, connections_per_address: 2 }, unpaced);
  const first = places.take("192.0.2.1");
  t.ok(first);
  t.ok(places.take("192.0.2.1"));
  t.equal(places.take("192.0.2.1"), undefined, "the address has its two");
  t.ok(places.take("192.0.2.2"));
  t.equal(places.take("192.0.2.3"), undefined, "all three are taken");
  first?.();
  first?.();
  t.ok(places.take("192.0.2.3"));
  t.equal(places.take("192.0.2.4"), undefined, "giving it back twice made no second one");
  t.end();
});

await test("who is refused a place for lack of one has not spent a connect of its rate", (t) => {
  const rate = new AddressRate(2, new ManualClock());
  const places = new Places({ connections: 1, connections_per_address: 1 }, rate);
  const release = places.take("192.0.2.1");
  for (let times = 0; times < 5; times += 1) t.equal(places.take("192.0.2.1"), undefined);
  release?.();
  const again = places.take("192.0.2.1");
  t.ok(again);
  again?.();
  t.equal(places.take("192.0.2.1"), undefined, "its two of the minute are spent");
  t.end();
});
