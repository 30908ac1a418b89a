// Numbers and options as Python code has them.

/** `(4, 5)`, `(4,)`, `((0, 1), (0, 0))`. */
export const tuple = (values) => `(${values.map(literal).join(", ")}${values.length === 1 ? "," : ""})`;

/** `[4, 5]` of numbers, or of what is text already. */
export const list = (values) => `[${values.join(", ")}]`;

const literal = (value) => (Array.isArray(value) ? tuple(value) : String(value));

/** `4` for (4, 4), `(3, 5)` for (3, 5); of one axis the number alone. */
export const short = (values) => (alike(values) ? String(values[0]) : tuple(values));

export const alike = (values) => values.every((value) => value === values[0]);

/** `, name=text` for each [name, text, default] that is not the default. */
export const options = (pairs) =>
  pairs.map(([name, text, preset]) => (text === preset ? "" : `, ${name}=${text}`)).join("");

/** `value` once an axis. */
export const each = (geometry, value) => new Array(geometry.axes).fill(value);

export const largest = (values) => Math.max(...values);
