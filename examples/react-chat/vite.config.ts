// `ringdial` is linked from this repository, which has a React of its own for its tests: there must be only one in the page.
import { defineConfig } from "vite";

export default defineConfig({
  base: "./",
  resolve: { dedupe: ["react", "react-dom"] },
});
