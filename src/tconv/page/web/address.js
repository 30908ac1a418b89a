// The problem in the page's address: `#n1+c1>1+i3x3+k4+s2+p1`.

import { problemIn } from "./spelling.js";

/** The problem that the address names: {text}, {fault} where it cannot be read, or null where it names none. */
export function fromAddress(hash) {
  const raw = hash.replace(/^#/, "").replaceAll("+", " ");
  if (raw.trim() === "") return null;
  try {
    return { text: problemIn(decodeURIComponent(raw)) };
  } catch {
    return { fault: "The address has a % that begins no character; a problem such as #n1+c1>1+i3x3+k4+s2+p1 would fit" };
  }
}

/** What follows the page's address for a problem. */
export const toAddress = (text) => "#" + encodeURIComponent(text).replaceAll("%20", "+").replaceAll("%3A", ":");

/** The theme of that name; "" where it is none. */
export const themeOf = (name) => (["light", "dark"].includes(name) ? name : "");

/** {embedded, theme} that the query asks for: `?embed&theme=dark`. */
export function wishes(query) {
  const asked = new URLSearchParams(query);
  return { embedded: asked.has("embed"), theme: themeOf(asked.get("theme")) };
}
