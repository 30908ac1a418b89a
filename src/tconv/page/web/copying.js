// Buttons that copy a text.

/** Put `text` on the clipboard; whether that could be done. */
async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    return copyBySelection(text); // no permission, or a host without https
  }
}

function copyBySelection(text) {
  const field = document.createElement("textarea");
  field.value = text;
  field.className = "offscreen";
  document.body.append(field);
  field.select();
  const done = document.execCommand("copy");
  field.remove();
  return done;
}

/** Let `button` copy what `text()` gives or promises, and `say` how it went. */
export function copying(button, text, say) {
  const label = button.textContent;
  button.addEventListener("click", async () => {
    const done = await copy(await text());
    button.focus();
    button.textContent = done ? "Copied" : "Not allowed";
    say(done ? "Copied." : "The browser does not allow copying here.");
    setTimeout(() => (button.textContent = label), 1500);
  });
}
