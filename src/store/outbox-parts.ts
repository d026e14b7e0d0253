/** Part of the log: sequences behind `after` up to `through` (inclusive). */
export type Part = { readonly after: number; readonly through: number };

/**
 * The parts of the log that an uplink has not read, in their order; the last one has no end. There is
 * more than one only where the newest changes are read before older ones.
 */
export type Parts = readonly Part[];

export function isIn(parts: Parts, sequence: number): boolean {
  return parts.some(({ after, through }) => sequence > after && sequence <= through);
}

/** Without what lies behind `after` up to `to`. */
export function without(parts: Parts, { after, through: to }: Part): Parts {
  return parts.flatMap((part): Parts => {
    if (to <= part.after || after >= part.through) return [part];
    const before = { after: part.after, through: after };
    const behind = { after: to, through: part.through };
    return [before, behind].filter((rest) => rest.after < rest.through);
  });
}

/**
 * What lies up to a sequence apart from what comes behind it. Not if there are `most` parts already:
 * then the last one is read on, and what it holds counts as new for longer.
 */
export function splitAt(parts: Parts, sequence: number, most: number): Parts {
  const joined: Part[] = [];
  for (const part of parts) {
    const before = joined.at(-1);
    if (before?.through === part.after) {
      joined[joined.length - 1] = { after: before.after, through: part.through };
    } else {
      joined.push(part);
    }
  }
  const last = joined.at(-1);
  if (last === undefined || last.after >= sequence || joined.length >= most) return joined;
  const split = [
    { ...last, through: sequence },
    { after: sequence, through: Infinity },
  ];
  return [...joined.slice(0, -1), ...split];
}

/** As JSON has it: no end is `null`. */
export function partsToJson(parts: Parts): readonly (readonly [number, number | null])[] {
  return parts.map(({ after, through }) => [after, through === Infinity ? null : through]);
}

export function partsFromJson(rows: readonly (readonly [number, number | null])[]): Parts {
  return rows.map(([after, through]) => ({ after, through: through ?? Infinity }));
}
