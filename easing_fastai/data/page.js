// A page reads well without this. With it, code copies, and what scrolls can be scrolled by keyboard.
for (const box of document.querySelectorAll('.highlight')) {
  const button = box.appendChild(document.createElement('button'));
  const say = (text, done) => { button.textContent = text; button.classList.toggle('done', done); };
  button.type = 'button';
  button.className = 'copy';
  button.ariaLive = 'polite';
  say('Copy', false);
  button.onclick = async () => {
    const code = box.querySelector('pre');
    try {
      await navigator.clipboard.writeText(code.innerText.trimEnd() + '\n');
      say('Copied', true);
    } catch { // not allowed: mark it, so that the keyboard can copy it
      getSelection().selectAllChildren(code);
      say('Press Ctrl+C', true);
    }
    setTimeout(() => say('Copy', false), 2000);
  };
}

const wide = document.querySelectorAll('pre, .scroll');
const reachable = () => {
  for (const box of wide) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
    else box.removeAttribute('tabindex');
  }
};
addEventListener('resize', reachable);
addEventListener('toggle', reachable, true);
reachable();

// The contents stand open beside the text, and closed above it.
const contents = document.querySelector('.contents details');
if (contents) {
  const beside = matchMedia('(min-width: 72rem)');
  const set = () => { contents.open = beside.matches; };
  beside.addEventListener('change', set);
  set();
}
