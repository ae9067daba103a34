// What eslint looks for in the page's JavaScript and in its tests: mistakes, no taste. `make lint` runs it.

import js from "@eslint/js";
import globals from "globals";

export default [
    { ignores: ["src/http/page/vendor/**", "tests/page/node_modules/**"] },
    {
        files: ["src/http/page/**/*.js"],
        languageOptions: { ecmaVersion: 2024, sourceType: "module", globals: globals.browser },
    },
    {
        // They run in node, and some of their functions in the page.
        files: ["tests/page/*.mjs", "examples/pictures/*.mjs"],
        languageOptions: { ecmaVersion: 2024, sourceType: "module", globals: { ...globals.node, ...globals.browser } },
    },
    js.configs.recommended,
    // What a command prints is made of control characters.
    { files: ["src/http/page/{ansi,folds,links}.js", "examples/pictures/draw.mjs"], rules: { "no-control-regex": "off" } },
    // Single selectors of a presentation are meant there, not characters that one is part of.
    { files: ["src/http/page/format.js"], rules: { "no-misleading-character-class": "off" } },
    {
        rules: {
            eqeqeq: ["error", "always", { null: "ignore" }],
            "no-implicit-globals": "error",
            "no-unused-vars": ["error", { argsIgnorePattern: "^_" }],
            "no-var": "error",
            "prefer-const": "error",
        },
    },
];
