import forge from "node-forge";

const { asn1, util } = forge;
const { Class, Type } = asn1;

/** A value of ASN.1, to be written as DER (ITU-T X.690). */
export type Asn1 = forge.asn1.Asn1;

export const sequence = (...parts: readonly Asn1[]): Asn1 =>
  asn1.create(Class.UNIVERSAL, Type.SEQUENCE, true, [...parts]);
/** Of one part or none: of several DER asks for an order, and nothing here has several. */
export const setOf = (part?: Asn1): Asn1 =>
  asn1.create(Class.UNIVERSAL, Type.SET, true, part === undefined ? [] : [part]);
export const oid = (dotted: string): Asn1 => primitive(Type.OID, asn1.oidToDer(dotted).getBytes());
export const integer = (bytes: Uint8Array): Asn1 => primitive(Type.INTEGER, binary(bytes));
export const nothing = (): Asn1 => primitive(Type.NULL, "");
export const truth = (): Asn1 => primitive(Type.BOOLEAN, "\xff");
export const utf8 = (text: string): Asn1 => primitive(Type.UTF8, util.encodeUtf8(text));
export const octets = (bytes: Uint8Array | Asn1): Asn1 =>
  primitive(Type.OCTETSTRING, binary(bytes instanceof Uint8Array ? bytes : encode(bytes)));
/** Bits by whole bytes, or as many less as `unused` says. */
export const bits = (bytes: Uint8Array, unused = 0): Asn1 =>
  primitive(Type.BITSTRING, String.fromCharCode(unused) + binary(bytes));
/** A tag around other values: EXPLICIT, or IMPLICIT of something constructed. */
export const tagged = (tag: number, ...parts: readonly Asn1[]): Asn1 =>
  asn1.create(Class.CONTEXT_SPECIFIC, tag, true, [...parts]);
/** A tag in place of that of a primitive value: IMPLICIT. */
export const taggedBytes = (tag: number, bytes: Uint8Array): Asn1 =>
  asn1.create(Class.CONTEXT_SPECIFIC, tag, false, binary(bytes));

/** RFC 5280 §4.1.2.5: two digits for a year until 2049, four from then on. Whole seconds. */
export function time(ms: number): Asn1 {
  const date = new Date(ms);
  return date.getUTCFullYear() < 2050
    ? primitive(Type.UTCTIME, asn1.dateToUtcTime(date))
    : primitive(Type.GENERALIZEDTIME, asn1.dateToGeneralizedTime(date));
}

export function encode(value: Asn1): Buffer {
  return Buffer.from(asn1.toDer(value).getBytes(), "latin1");
}

/**
 * Exactly one value, in DER: what is read here gives the same bytes when it is written again, each part
 * of it too. Bit and octet strings are left as they are.
 * @throws Error of any kind for anything else.
 */
export function decode(der: Uint8Array): Asn1 {
  const value = asn1.fromDer(binary(der), {
    strict: true,
    parseAllBytes: true,
    decodeBitStrings: false,
  });
  if (!encode(value).equals(der)) throw new Error("it is not in DER");
  return value;
}

/** @throws Error if it has none: it is primitive. */
export function partsOf(value: Asn1): readonly Asn1[] {
  if (typeof value.value === "string") throw new Error("a value has no parts");
  return value.value;
}

/** What a primitive value holds. @throws Error if it has parts. */
export function bytesOf(value: Asn1): Buffer {
  if (typeof value.value !== "string") throw new Error("a value has parts");
  return Buffer.from(value.value, "latin1");
}

/** Empty if it is no object identifier. */
export function dottedOf(value: Asn1): string {
  if (!isType(value, "OID")) return "";
  return asn1.derToOid(util.createBuffer(bytesOf(value).toString("latin1")));
}

export function isType(value: Asn1, type: "SEQUENCE" | "INTEGER" | "BITSTRING" | "OID"): boolean {
  return value.tagClass === Class.UNIVERSAL && value.type === Type[type];
}

/** `[tag]`, explicit or implicit. */
export function isTagged(value: Asn1, tag: number): boolean {
  const number: number = value.type;
  return value.tagClass === Class.CONTEXT_SPECIFIC && number === tag;
}

function primitive(type: forge.asn1.Type, bytes: string): Asn1 {
  return asn1.create(Class.UNIVERSAL, type, false, bytes);
}

/** forge's strings of bytes. */
function binary(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("latin1");
}
