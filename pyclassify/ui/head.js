// Runs before Gradio does: the language of the page, and the links that lead back to what is on it.
(() => {
  const KEPT = "pyclassify-language";
  const kept = (change) => {
    try { return change(localStorage); } catch { return null; }  // a page within a page may not keep anything
  };
  const wanted = () => (kept((store) => store.getItem(KEPT)) ?? navigator.language ?? "").toLowerCase().split("-")[0];
  const spoken = () => (pyclassify.languages.includes(wanted()) ? wanted() : pyclassify.languages[0]);
  // Gradio has a switch of its own, deep in its settings; this is what that one calls.
  const speak = async (language) => {
    document.documentElement.lang = language;
    const loaded = performance.getEntriesByType("resource").map((entry) => entry.name);
    for (const address of loaded.filter((name) => /\/core-[^/]*\.js$/.test(name))) {
      (await import(address)).changeLocale?.(language);
    }
  };

  // What a visitor wrote stands behind the # of a link, which browsers keep to themselves: no server sees or logs it.
  const read = () => new URLSearchParams(location.hash.slice(1));
  const write = (keys, values) => {
    const tab = openTab();
    const fragment = new URLSearchParams(tab ? { tab } : {});
    keys.forEach((key, at) => {
      const [of, name] = key.split(".");
      if (of === tab && typeof values[at] === "string" && values[at]) fragment.set(name, values[at]);
    });
    history.replaceState(history.state, "", `${location.pathname}${location.search}#${fragment}`);
    return location.href;
  };
  // What was dropped somewhere; a link cannot carry it.
  const FILES = ["#image img", "#compare-image img", "#batch-files .file-preview"];
  const openTab = () => document.querySelector("#tabs [role=tab][aria-selected=true]")?.dataset.tabId ?? "";

  // Two changes at once, as from a link, and Gradio lets both ask and shows whichever answer comes last. So each waits a
  // moment for the other, and both ask what the later one asks.
  const MOMENT_MS = 10;
  const newest = {};

  Object.assign(window.pyclassify, {
    latest: async (of, values) => {
      newest[of] = values;
      await new Promise((done) => setTimeout(done, MOMENT_MS));
      return newest[of];
    },
    restore: async (keys, values, titles) => {
      const link = read();
      const tab = link.get("tab");
      const restored = keys.map((key, at) => {
        const [of, name] = key.split(".");
        return (of === tab && link.get(name)) || values[at];
      });
      const selected = tab ? { __type__: "update", selected: tab } : { __type__: "update" };
      return [spoken(), selected, ...restored, ...await pyclassify.speak(spoken(), titles)];
    },
    speak: async (language, titles) => {
      if (language !== spoken()) kept((store) => store.setItem(KEPT, language));
      await speak(language);
      return titles[language].map((label) => ({ __type__: "update", label }));
    },
    copy: async (keys, values, words) => {
      const link = new URL(write(keys, values));
      // the look of the page is Gradio's to remember, and whose it was
      [...link.searchParams.keys()].filter((key) => key.startsWith("__")).forEach((key) => link.searchParams.delete(key));
      const files = document.querySelector(FILES.map((selector) => `#tabs [role=tabpanel] ${selector}`).join());
      let copied = true;
      try { await navigator.clipboard.writeText(link.href); } catch { copied = false; }  // without https there is none
      return words[spoken()][copied ? (files?.offsetParent ? 2 : 0) : 1];
    },
  });
})();
