// Passkeys: ask the device, put its answer into the form, send the form.
"use strict";
(() => {
  const form = document.querySelector("form[data-passkey]");
  if (!form) return;
  form.querySelector("[type=submit]").disabled = false; // without this script it would lead nowhere
  const problem = form.querySelector("[data-passkey-problem]");
  const tell = (kind) => { problem.textContent = kind ? problem.dataset[kind] : ""; problem.hidden = !kind; };
  const options = async () => {
    const given = document.getElementById("passkey-options");
    if (given) return JSON.parse(given.textContent).publicKey;
    const answer = await fetch(form.action, { method: "POST", body: new FormData(form), headers: { Accept: "application/json" } });
    if (!answer.ok) throw new Error(`answered ${answer.status}`);
    return (await answer.json()).publicKey;
  };
  const ask = async () => {
    const raw = await options();
    return form.dataset.passkey === "create"
      ? navigator.credentials.create({ publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(raw) })
      : navigator.credentials.get({ publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(raw) });
  };
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    tell("");
    if (!window.PublicKeyCredential?.parseRequestOptionsFromJSON) return tell("none");
    const field = form.querySelector("[name=credential]");
    field.disabled = true; // only the answer is sent under this name
    try {
      const answer = JSON.stringify(await ask());
      field.disabled = false;
      field.value = answer;
      form.submit();
    } catch { tell("stopped"); }
  });
})();
