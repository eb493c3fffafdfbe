// Fetches this same page again every few seconds while somebody can see it, and swaps the parts that are marked
// with data-refresh (each has an id). Without script, a page is read by reloading it.
"use strict";
(function () {
  const EVERY_MS = 3000;
  // What a page shows of its own, and what every page shows (the stop bar, the count of troubles): the latter is asked
  // for alone where the page has nothing of its own, and on the answer to a form, whose address shows another page.
  const ofFrame = () => document.querySelectorAll("[data-refresh=frame][id]");
  const ofPage = () => document.querySelectorAll("body:not([data-still]) [data-refresh]:not([data-refresh=frame])[id]");
  let failed = 0;
  let timer = null;

  // What was typed or ticked, and not sent, is not lost.
  function isTouched(field) {
    // A box without a value of its own has the value "on" and the default value "": only its tick counts.
    if (field.type === "checkbox" || field.type === "radio") return field.checked !== field.defaultChecked;
    return field.value !== field.defaultValue;
  }

  function isBusy(part) {
    // Whoever types, chooses or has opened something in a part keeps it as it is.
    const active = document.activeElement;
    if (active && active !== document.body && part.contains(active) && active.matches("input, select, textarea")) {
      return true;
    }
    if ([...part.querySelectorAll("input, textarea")].some(isTouched)) return true;
    const selection = document.getSelection();
    return Boolean(selection && !selection.isCollapsed && part.contains(selection.anchorNode));
  }

  function swap(text, parts) {
    const page = new DOMParser().parseFromString(text, "text/html");
    parts.forEach((part) => {
      const fresh = page.getElementById(part.id);
      if (!fresh || isBusy(part) || fresh.innerHTML === part.innerHTML) {
        return;
      }
      const open = new Set([...part.querySelectorAll("details[open][id]")].map((each) => each.id));
      const focused = part.contains(document.activeElement) ? document.activeElement.id : "";
      const scrolled = [...part.querySelectorAll(".scroll[id]")].map((each) => [each.id, each.scrollLeft]);
      part.replaceWith(document.adoptNode(fresh));
      open.forEach((id) => document.getElementById(id)?.setAttribute("open", ""));
      scrolled.forEach(([id, left]) => {
        const again = document.getElementById(id);
        if (again) again.scrollLeft = left;
      });
      if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    });
  }

  function away(isAway) {
    const note = document.getElementById("away");
    if (note) note.hidden = !isAway;
  }

  async function turn() {
    const own = ofPage();
    const parts = [...own, ...ofFrame()];
    if (document.hidden || parts.length === 0) return later(EVERY_MS);
    try {
      const answer = await fetch(own.length ? location.href : "/frame", {
        headers: { "X-Refresh": "1" },
        credentials: "same-origin",
        redirect: "error",
        cache: "no-store",
        signal: AbortSignal.timeout(20000),
      });
      if (answer.status === 401) {
        // The session has ended: the sign-in says so, and what is shown goes.
        return document.body.hasAttribute("data-still") ? location.assign("/sign-in?ended=1") : location.reload();
      }
      if (!answer.ok) throw new Error(String(answer.status));
      swap(await answer.text(), parts);
      failed = 0;
      away(false);
    } catch {
      failed += 1;
      away(failed > 1);
    }
    later(EVERY_MS * Math.min(failed + 1, 5));
  }

  function later(ms) {
    clearTimeout(timer);
    timer = setTimeout(turn, ms);
  }

  document.addEventListener("visibilitychange", () => {
    if (!document.hidden) later(0);
  });
  // A form is sent once, however often its button is pressed.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.dataset.sent) {
      event.preventDefault();
      return;
    }
    if (form.method === "post") {
      form.dataset.sent = "1";
      setTimeout(() => delete form.dataset.sent, 5000); // the answer may be a file, and the page stays
    }
  });
  window.addEventListener("pageshow", () => {
    document.querySelectorAll("form[data-sent]").forEach((form) => delete form.dataset.sent);
  });
  later(EVERY_MS);
})();
