declare module "aedes-persistence/abstract.js" {
  const abstractPersistence: (options: {
    readonly test: typeof import("node:test").test;
    readonly testAsync: boolean;
    readonly persistence: () => Promise<object>;
  }) => void;
  export default abstractPersistence;
}
