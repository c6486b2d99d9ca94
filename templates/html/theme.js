(function () {
  var root = document.documentElement, button = document.getElementById("theme");
  var dark = window.matchMedia("(prefers-color-scheme: dark)");
  function shown() { return root.dataset.theme || (dark.matches ? "dark" : "light"); }
  function label() { button.textContent = shown() === "dark" ? "Light" : "Dark"; }
  button.hidden = false;
  button.addEventListener("click", function () { root.dataset.theme = shown() === "dark" ? "light" : "dark"; label(); });
  dark.addEventListener("change", label);
  window.addEventListener("beforeprint", function () {
    document.querySelectorAll("details").forEach(function (part) { part.open = true; });
  });
  label();
})();
