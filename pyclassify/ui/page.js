() => {
  // Ctrl+V anywhere on the Image tab is the same as choosing a file. Gradio itself has only a button for it, and browsers
  // refuse that one the clipboard on a page without https.
  document.addEventListener("paste", (event) => {
    const picture = document.querySelector("#picture");
    const input = picture?.querySelector("input[type=file]");
    const files = [...(event.clipboardData?.files ?? [])];
    if (!input || !files.length || picture.offsetParent === null) return;
    const chosen = new DataTransfer();
    chosen.items.add(files[0]);
    input.files = chosen.files;
    input.dispatchEvent(new Event("change", { bubbles: true }));
    event.preventDefault();
  });
  // Gradio runs this some time after the page is drawn; whoever drives the page by program can wait for it.
  document.documentElement.dataset.paste = "on";
}
