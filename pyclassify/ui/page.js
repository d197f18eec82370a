() => {
  // Ctrl+V anywhere on the Image tab is the same as choosing a file. Gradio itself has only a button for it, and browsers
  // refuse that one the clipboard on a page without https.
  document.addEventListener("paste", (event) => {
    const image = document.querySelector("#image");
    const input = image?.querySelector("input[type=file]");
    const files = [...(event.clipboardData?.files ?? [])];
    if (!input || !files.length || image.offsetParent === null) return;
    const chosen = new DataTransfer();
    chosen.items.add(files[0]);
    input.files = chosen.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
    event.preventDefault();
  });
  document.addEventListener("input", (event) => {
    const figure = event.target.matches?.(".fade input") && event.target.closest("figure");
    if (figure) figure.style.setProperty("--fade", event.target.value / 100);
  });
  // Gradio's example pictures have no names; those of their files are for who does not see them.
  const name = () => document.querySelectorAll("button.gallery-item:not([aria-label]):has(img)").forEach((button) => {
    const file = new URL(button.querySelector("img").src).pathname.split("/").pop();
    button.ariaLabel = decodeURIComponent(file).replace(/\.\w+$/, "");
  });
  new MutationObserver(name).observe(document.body, { childList: true, subtree: true });
  name();
  // What changes is read out, politely; the element must be there before its content comes.
  document.querySelectorAll(".live").forEach((element) => element.setAttribute("aria-live", "polite"));
  // Gradio runs this some time after the page is drawn; whoever drives the page by program can wait for it.
  document.documentElement.dataset.paste = "on";
}
