// Dark or light: what the person chose last, else what the system says.
const root = document.documentElement;
const system = matchMedia("(prefers-color-scheme: dark)");
const button = document.getElementById("theme");

function chosen() {
  return localStorage.getItem("theme") ?? (system.matches ? "dark" : "light");
}

function show() {
  root.dataset.theme = chosen();
  if (button) {
    button.textContent = chosen() === "dark" ? "Light theme" : "Dark theme";
  }
  window.dispatchEvent(new Event("themechange"));
}

button?.addEventListener("click", () => {
  localStorage.setItem("theme", chosen() === "dark" ? "light" : "dark");
  show();
});
system.addEventListener("change", show);
show();
