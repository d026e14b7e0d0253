import { setImmediate as nextTurn } from "node:timers/promises";
import { test } from "tap";
import { FIXED_LIMITS } from "../../src/limits.ts";
import type { DiskRoom } from "../../src/store/disk-room.ts";
import { Space } from "../../src/store/space.ts";
import { Writability } from "../../src/store/writability.ts";
import { ManualClock } from "./manual-clock.ts";

const GIB = 2 ** 30;
const { reserveBytes, ballastBytes } = FIXED_LIMITS;

/** A disk that a test fills. */
class FakeRoom implements DiskRoom {
  total = 8 * GIB;
  free = GIB;
  used = 0;
  kept = 0;
  isMountedReadOnly = false;
  fault: Error | undefined;

  readonly look = async () => {
    if (this.fault !== undefined) throw this.fault;
    return Promise.resolve({ total: this.total, free: this.free, used: this.used });
  };
  readonly isReadOnly = async (): Promise<boolean> => Promise.resolve(this.isMountedReadOnly);
  readonly ballast = async (): Promise<number> => Promise.resolve(this.kept);
  readonly writeBallast = async (bytes: number): Promise<void> => {
    if (this.isMountedReadOnly) throw new Error("EROFS");
    this.kept = bytes;
    return Promise.resolve();
  };
  readonly dropBallast = (): void => void (this.kept = 0);
}

function openSpace(quotaBytes = 0) {
  const room = new FakeRoom();
  const clock = new ManualClock();
  const writability = new Writability();
  const events: string[] = [];
  const log = (event: string): void => void events.push(event);
  const space = new Space({
    clock,
    log: { error: log, warn: log, info: log, debug: log },
    writability,
    room,
    quotaBytes,
  });
  return { room, clock, writability, events, space };
}

await test("below the reserve changes are refused, and taken again when there is clearly more", async (t) => {
  const { room, writability, events, space } = openSpace();
  const steps: readonly (readonly [free: number, isRefused: boolean])[] = [
    [reserveBytes, false],
    [reserveBytes - 1, true],
    [reserveBytes + 1, true],
    [reserveBytes * 1.2, false],
    [reserveBytes + 1, false],
    [0, true],
  ];
  for (const [free, isRefused] of steps) {
    room.free = free;
    await space.look();
    t.equal(writability.refusal?.code, isRefused ? "storage-full" : undefined, `${free} are free`);
    t.equal(writability.stall, undefined);
  }
  t.same(events, ["store.full", "store.has_room", "store.full"]);
});

await test("of a small disk a tenth is the reserve", async (t) => {
  const { room, writability, space } = openSpace();
  room.total = 100_000_000;
  room.free = 10_000_000;
  await space.look();
  t.equal(writability.refusal, undefined);
  room.free -= 1;
  await space.look();
  t.match(writability.refusal, { code: "storage-full" });
});

await test("above the quota changes are refused, whatever is free", async (t) => {
  const { room, writability, space } = openSpace(1_000);
  const steps: readonly (readonly [used: number, isRefused: boolean])[] = [
    [1_000, false],
    [1_001, true],
    [900, true],
    [833, false],
  ];
  for (const [used, isRefused] of steps) {
    room.used = used;
    await space.look();
    t.equal(writability.refusal !== undefined, isRefused, `${used} of 1000 bytes`);
  }
  room.used = 2_000;
  await space.look();
  t.match(writability.refusal?.message, "store.quota_mb");
});

await test("the ballast is kept while there is room, and given up to be able to write", async (t) => {
  const { room, space } = openSpace();
  await space.look();
  t.equal(room.kept, ballastBytes);
  room.free = reserveBytes / 2;
  t.equal(await space.hasRoom(), false);
  t.equal(room.kept, 0, "it is given up, and not taken again while the disk is full");
  room.free += 1;
  t.equal(await space.hasRoom(), true);
  room.isMountedReadOnly = true;
  room.free = GIB;
  t.equal(await space.hasRoom(), false, "room that may not be used is none");
  await t.resolves(space.look(), "a ballast that cannot be written harms nothing");
  room.isMountedReadOnly = false;
  await space.look();
  t.equal(room.kept, ballastBytes);
});

await test("it looks twice a second, tells once that it cannot, and goes on", async (t) => {
  const { room, clock, writability, events, space } = openSpace();
  const pass = async (): Promise<void> => {
    clock.advance(500);
    for (let turn = 0; turn < 5; turn += 1) await nextTurn();
  };
  await space.start();
  room.fault = new Error("EIO");
  for (let looks = 0; looks < 3; looks += 1) await pass();
  t.same(events, ["store.space_unknown"]);
  room.fault = undefined;
  room.free = 0;
  await pass();
  t.match(writability.refusal, { code: "storage-full" });
  space.stop();
  room.free = GIB;
  await pass();
  t.equal(clock.waiting, 0, "no timer is left");
  t.match(writability.refusal, { code: "storage-full" });
});
