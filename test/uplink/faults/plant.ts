import { register } from "node:module";

// Loaded by the daemon before its own code (`node --import`): see `plantingEnvironment`.
register("./plant-hooks.js", import.meta.url);
