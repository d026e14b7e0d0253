// npm run test:uplink -- --rounds 200 --seed 4711: all runs, one after the other, with one seed.
import "./faults.test.ts";
import "./live-first.test.ts";
import "./peers.test.ts";
