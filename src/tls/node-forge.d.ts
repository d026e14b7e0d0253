import type { asn1 as Asn1Functions } from "node-forge";

declare module "node-forge" {
  namespace asn1 {
    /** As node-forge 1.4 has it; its types know of the first option only. */
    function fromDer(
      bytes: string,
      options: {
        readonly strict: boolean;
        readonly parseAllBytes: boolean;
        readonly decodeBitStrings: boolean;
      },
    ): Asn1Functions.Asn1;
    /** Of a class that is not UNIVERSAL the tag is any number. */
    function create(
      tagClass: Asn1Functions.Class,
      tag: number,
      constructed: boolean,
      value: string | Asn1Functions.Asn1[],
    ): Asn1Functions.Asn1;
  }
}
