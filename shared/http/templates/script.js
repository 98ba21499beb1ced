"use strict";
for (const input of document.querySelectorAll("input[data-show]")) {
  const { show, hide, more, enough, min } = input.dataset;
  const button = document.getElementById(input.id + "-show");
  const status = document.getElementById(input.id + "-typed");
  button.hidden = false;
  button.addEventListener("click", () => {
    const shown = input.type === "password";
    input.type = shown ? "text" : "password";
    button.textContent = shown ? hide : show;
    input.focus();
  });
  input.form.addEventListener("submit", () => { input.type = "password"; });
  input.addEventListener("input", () => {
    const left = Number(min) - [...input.value].length;
    const said = input.value === "" ? "" : left > 0 ? more.replace("{left}", String(left)) : enough;
    if (status.textContent !== said) status.textContent = said;
  });
}
