// The live board's clocks: the server counts, this lets them tick on between two answers.
(() => {
  "use strict";
  const began = new WeakMap();
  const two = (number) => String(number).padStart(2, "0");
  setInterval(() => {
    for (const clock of document.querySelectorAll("#board .clock")) {
      if (!began.has(clock)) began.set(clock, performance.now() - Number(clock.dataset.seconds) * 1000);
      const seconds = Math.max(Math.floor((performance.now() - began.get(clock)) / 1000), 0);
      const text = `${two(Math.floor(seconds / 60))}:${two(seconds % 60)}`;
      if (clock.textContent !== text) clock.textContent = text;
    }
  }, 250);
})();
