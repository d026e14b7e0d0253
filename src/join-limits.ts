/** Bounds of the joining window; a part of `FIXED_LIMITS`. */
export const JOIN_LIMITS = {
  /** Shortest time the joining window is open, in seconds: a device has to be switched on and seen. */
  joinWindowSMin: 60,
  /** Longest time the joining window is open, in seconds: who forgets it has it closed in an hour. */
  joinWindowSMax: 3_600,
  /** Devices that wait to be let in: a person decides on each. */
  joinRequestsMax: 50,
  /** Of them from one address, or network of IPv6: one that asks without end leaves room for others. */
  joinRequestsPerNetworkMax: 10,
  /** Requests to join, or to prove a key, a minute from one address, or network of IPv6. */
  joinRequestsPerMinutePerAddress: 12,
  /** UTF-16 units of a name, model or serial number that a device says: a line on a screen. */
  joinTextLengthMax: 128,
  /** UTF-16 units of a Thing Description, as JSON, that a device asks with: 50 wait in 3 MB of memory. */
  joinDescriptionLengthMax: 32_768,
  /** Once decided, a device has this long to fetch its password, ms: then it is forgotten. */
  joinAnswerKeptMs: 600_000,
  /** Challenges to prove a key by that are open at once. */
  joinChallengesMax: 100,
  /** Life of a challenge, ms: a secure element signs within a second. */
  joinChallengeLifeMs: 60_000,
} as const;
