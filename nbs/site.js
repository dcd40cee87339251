// What a page can do with JavaScript; without it everything is there to read.
(() => {
  const root = new URL('.', document.currentScript.src);
  const ready = action => document.readyState === 'loading' ? document.addEventListener('DOMContentLoaded', action) : action();

  // ---- meanings of names: by mouse, keyboard and touch; Escape closes ----
  const box = document.createElement('div');
  box.className = 'meaning';
  box.id = 'meaning';
  box.setAttribute('role', 'tooltip');
  box.hidden = true;
  let meanings = {}, shown = null, timer = 0;

  const hide = () => {
    if (shown) shown.removeAttribute('aria-describedby');
    shown = null;
    box.hidden = true;
  };
  const show = element => {
    clearTimeout(timer);
    if (element === shown) return;
    hide();
    shown = element;
    box.innerHTML = '';
    const name = document.createElement('code');
    name.textContent = element.dataset.name;
    box.append(name, ' ', meanings[element.dataset.name]);
    element.setAttribute('aria-describedby', box.id);
    box.hidden = false;
    const at = element.getBoundingClientRect(), width = Math.min(340, innerWidth - 24);
    box.style.width = width + 'px';
    box.style.left = Math.max(12, Math.min(at.left, innerWidth - width - 12)) + scrollX + 'px';
    const above = at.bottom + box.offsetHeight + 12 > innerHeight && at.top > box.offsetHeight + 12;
    box.style.top = (above ? at.top - box.offsetHeight - 6 : at.bottom + 6) + scrollY + 'px';
  };
  const known = event => event.target.closest && event.target.closest('.known');

  // In cells of code the names are found here: the page itself holds the code as it is.
  const mark = code => {
    const walker = document.createTreeWalker(code, NodeFilter.SHOW_TEXT), texts = [];
    while (walker.nextNode()) if (!walker.currentNode.parentElement.closest('.co, .st, .known, a')) texts.push(walker.currentNode);
    for (const text of texts) {
      const parts = text.data.split(/([A-Za-z_]\w*)/);
      if (!parts.some((part, i) => i % 2 && Object.hasOwn(meanings, part))) continue;
      text.replaceWith(...parts.map((part, i) => {
        // a name of one letter is a variable of the cell
        if (!(i % 2) || part.length < 2 || !Object.hasOwn(meanings, part)) return part;
        const span = document.createElement('span');
        span.className = 'known';
        span.dataset.name = part;
        span.textContent = part;
        return span;
      }));
    }
  };

  ready(async () => {
    try { meanings = await (await fetch(new URL('names.json', root))).json(); }
    catch { return; }  // a page opened as a file: the names stay plain text
    document.body.append(box);
    document.querySelectorAll('main pre.sourceCode code').forEach(mark);
    const met = new Set();
    for (const element of document.querySelectorAll('main .known')) {
      if (met.has(element.dataset.name)) continue;  // one stop of the Tab key for each name is enough
      met.add(element.dataset.name);
      element.tabIndex = 0;
    }
    document.addEventListener('pointerover', event => {
      const element = known(event);
      if (element) show(element);
      else if (shown && !box.contains(event.target)) { clearTimeout(timer); timer = setTimeout(hide, 150); }
      else clearTimeout(timer);
    });
    document.addEventListener('focusin', event => known(event) ? show(known(event)) : hide());
    document.addEventListener('click', event => known(event) ? show(known(event)) : box.contains(event.target) || hide());
    document.addEventListener('keydown', event => { if (event.key === 'Escape') hide(); });
    addEventListener('resize', hide);
  });

  // ---- chapters that were read to their end are ticked in the sidebar; kept in this browser, sent nowhere ----
  const store = 'easing_fastai:read';
  const read = () => { try { return JSON.parse(localStorage.getItem(store)) || []; } catch { return []; } };
  ready(() => {
    const name = location.pathname.split('/').pop();
    for (const link of document.querySelectorAll('#quarto-sidebar a.sidebar-link')) {
      if (!read().includes(link.pathname.split('/').pop())) continue;
      link.classList.add('was-read');
      link.title = 'read to the end';
    }
    const end = document.querySelector('.nav-page-next');
    if (!end || !/^\d/.test(document.querySelector('h1 .number')?.textContent || '')) return;
    new IntersectionObserver((entries, observer) => {
      if (!entries.some(entry => entry.isIntersecting)) return;
      observer.disconnect();
      try { localStorage.setItem(store, JSON.stringify([...new Set([...read(), name])])); } catch { /* a browser that keeps nothing */ }
    }).observe(end);
  });
})();
