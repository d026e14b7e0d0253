import { test } from "tap";
import { drain, openSite } from "./outbox-site.ts";

await test("what is behind more than one read can hold is owed, in the order of the log", async (t) => {
  const owners = { lamp: 0 };
  const site = await openSite(t, { isOwed: ({ thing }) => thing !== owners.lamp });
  const boiler = site.makeThing("boiler");
  const lamp = site.makeThing("lamp");
  owners.lamp = lamp.number;
  const sequences = [boiler.revision];
  for (let round = 0; round < 4; round += 1) {
    // Nothing of these comes into a page, which would be full of them.
    for (let n = 0; n < 3; n += 1) site.setValues(lamp.number, { p: "x".repeat(150_000) });
    sequences.push(site.setValues(boiler.number, { p: round }), site.emit(boiler.number));
  }
  const owed = await drain(site);
  t.same(
    owed.map(({ item }) => (item.kind === "change" ? item.change.sequence : item.kind)),
    sequences,
  );
});
