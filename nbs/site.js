// What a page can do with JavaScript; without it everything is there to read.
(() => {
  const root = new URL('.', document.currentScript.src);
  const ready = action => document.readyState === 'loading' ? document.addEventListener('DOMContentLoaded', action) : action();

  // ---- for the keyboard and for readers by ear: Quarto puts the skip link behind the sidebar, and names its parts alike ----
  ready(() => {
    const skip = document.querySelector('.skip');
    if (skip) {
      const first = document.createElement('nav');
      first.setAttribute('aria-label', 'Skip');
      first.append(skip);
      document.body.prepend(first);
    }
    for (const [nav, label] of [['#quarto-sidebar', 'All pages'], ['#TOC', 'On this page'], ['.page-navigation', 'Before and after'],
                                ['.quarto-secondary-nav', 'Where you are']])
      document.querySelector('nav' + nav)?.setAttribute('aria-label', label);
    for (const text of document.querySelectorAll('.nav-page-text, .quarto-secondary-nav .breadcrumb-item')) // the dot has its legend in the menu
      text.innerHTML = text.innerHTML.replace(/\s*•/, '');
    for (const head of document.querySelectorAll('main th')) // a head without a word is none
      if (!head.textContent.trim() && !head.children.length) head.replaceWith(Object.assign(document.createElement('td'), {className: head.className, colSpan: head.colSpan}));
    for (const toggle of document.querySelectorAll('#quarto-sidebar [data-bs-target][role=navigation]')) {
      toggle.setAttribute('role', 'button');
      if (toggle.matches('.sidebar-item-toggle')) toggle.setAttribute('aria-label', 'Open or close ' + (toggle.parentElement.textContent.trim() || 'this section'));
    }
  });

  // ---- meanings of names: by mouse, keyboard and touch; Escape closes ----
  const box = document.createElement('div');
  box.className = 'meaning';
  box.id = 'meaning';
  box.hidden = true;
  let names = {}, shown = null, timer = 0;

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
    const name = document.createElement('code'), {means, glossary} = names[element.textContent];
    name.textContent = element.textContent;
    box.replaceChildren(name, ' ', means);
    if (glossary) {
      const link = document.createElement('a');
      link.href = new URL('glossary.html#' + name.textContent, root);
      link.textContent = 'in the glossary';
      box.append(' ', link);
    }
    element.setAttribute('aria-describedby', box.id);
    box.hidden = false;
    const at = element.getBoundingClientRect(), width = Math.min(340, innerWidth - 24);
    box.style.width = width + 'px';
    box.style.left = Math.max(12, Math.min(at.left, innerWidth - width - 12)) + scrollX + 'px';
    const above = at.bottom + box.offsetHeight + 12 > innerHeight && at.top > box.offsetHeight + 12;
    box.style.top = (above ? at.top - box.offsetHeight - 6 : at.bottom + 6) + scrollY + 'px';
  };
  const known = event => event.target.closest && event.target.closest('.known');

  // Which names in a piece of code are fastai's? `names.json` says what each is. A name that nothing else is called is
  // one wherever it stands; a plain word only in such company: `learn.model`, `metrics=` in a call of fastai's function.
  const TOKEN = /https?:\S+|("""|''')[^]*?\1|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|#.*|^[!%].*|\w+|\S/gm;
  const about = name => Object.hasOwn(names, name) ? names[name] : {};
  const owns = name => /^(learn|dls|interp)$/.test(name) || about(name).is === 'name' && /^[A-Z]/.test(name);
  const named = (code, inline) => {
    const found = [], calls = []; // for each open bracket: does it call a function that was found?
    let [owner, before, last, module] = ['', '', {}, false]; // between `from` and `import` stand modules
    for (const {0: token, index} of code.matchAll(TOKEN)) {
      const next = code.slice(index + token.length), kind = about(token).is, member = before === '.';
      const keyword = calls.at(-1) && /^\s*=(?!=)/.test(next) || inline && index === 0 && /^=(?!=)/.test(next);
      const elsewhere = module || member && /^(transforms|data)$/.test(owner); // torchvision's, PyTorch's
      const whole = inline && token === code.replace(/\(.*/, '');
      if (/^[([{]$/.test(token)) calls.push(token === '(' && last.name === before);
      else if (/^[)\]}]$/.test(token)) calls.pop();
      else if (!/^(def|class)$/.test(before) && !elsewhere && (kind === 'name' || kind === 'function' && !member || kind === 'method' && whole ||
               kind && (keyword || member && owns(owner)))) found.push(last = {index, name: token});
      else if (/^\w/.test(token)) last = {};
      if (/^(from|import)$/.test(token)) module = token === 'from' && /^[ \t]*[\w.]+[ \t]+import\b/.test(next);
      if (token !== '.') owner = token;
      before = token;
    }
    return found;
  };
  const mark = code => {
    const found = named(code.textContent, !code.closest('pre')), texts = [], walker = document.createTreeWalker(code, NodeFilter.SHOW_TEXT);
    for (let at = 0; walker.nextNode(); at += walker.currentNode.length) texts.push([walker.currentNode, at]);
    for (const {index, name} of found.reverse()) {
      const [text, at] = texts.findLast(([, at]) => at <= index);
      const span = Object.assign(document.createElement('span'), {className: 'known', textContent: name});
      const rest = text.splitText(index - at);
      rest.data = rest.data.slice(name.length);
      rest.before(span);
    }
  };

  ready(async () => {
    try { names = await (await fetch(new URL('names.json', root))).json(); }
    catch { return; }  // a page opened as a file: the names stay plain text
    document.body.append(box);
    for (const code of document.querySelectorAll('main :is(pre.sourceCode code, :not(pre) > code)'))
      if (!code.closest('a, h1, h2, h3, h4, .cell-output:not(.cards *)')) mark(code);
    const met = new Set();
    for (const element of document.querySelectorAll('main .known')) {
      const place = element.closest('section')?.id + ' ' + element.textContent;
      if (!met.has(place)) element.tabIndex = 0;  // one stop of the Tab key for each name is enough in a section
      met.add(place);
    }
    document.addEventListener('pointerover', event => {
      const element = known(event);
      if (element) show(element);
      else if (shown && !box.contains(event.target)) { clearTimeout(timer); timer = setTimeout(hide, 150); }
      else clearTimeout(timer);
    });
    document.addEventListener('focusin', event => known(event) ? show(known(event)) : box.contains(event.target) || hide());
    document.addEventListener('click', event => known(event) ? show(known(event)) : box.contains(event.target) || hide());
    document.addEventListener('keydown', event => {
      const link = box.querySelector('a'), inside = box.contains(document.activeElement);
      if (event.key === 'Escape' || event.key === 'Tab' && inside) { // the box is left to where it was opened, and on from there
        if (inside) shown.focus();
        if (event.key === 'Escape') hide();
        else if (event.shiftKey) event.preventDefault();
      } else if (event.key === 'Tab' && !event.shiftKey && link && shown && document.activeElement === shown) {
        link.focus();
        event.preventDefault();
      }
    });
    addEventListener('resize', hide);
  });

  // ---- what a reader leaves behind is kept in this browser, and sent nowhere ----
  const kept = (what, otherwise) => { try { return JSON.parse(localStorage.getItem('easing_fastai:' + what)) || otherwise; } catch { return otherwise; } };
  const keep = (what, value) => { try { localStorage.setItem('easing_fastai:' + what, JSON.stringify(value)); } catch { /* a browser that keeps nothing */ } };
  const page_of = place => decodeURI(place.pathname.slice(root.pathname.length)) || 'index.html'; // with its folder: some names occur twice
  const name = page_of(location);
  const element = (tag, attributes = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), attributes);
    made.append(...children);
    return made;
  };

  // Guess first: the results of the next cell, and the words about them, wait until a guess is made, or not wanted.
  const cell_after = box => {
    for (let at = box.nextElementSibling; at && !at.matches('section, .guess'); at = at.nextElementSibling) {
      const cell = at.matches('.cell') ? at : at.querySelector('.cell');
      if (cell && cell.querySelector('.cell-output')) return cell;
    }
  };
  const words_after = (box, cell) => { // up to the next heading or guess
    const words = [];
    for (let at = box.nextElementSibling; at && !at.matches('section, .guess'); at = at.nextElementSibling)
      if (cell.compareDocumentPosition(at) === Node.DOCUMENT_POSITION_FOLLOWING) words.push(at);
    return words;
  };
  ready(() => {
    const guesses = kept('guesses', {}), searched = new URLSearchParams(location.search).has('q');
    for (const box of document.querySelectorAll('main .guess')) {
      const cell = cell_after(box), question = name + ': ' + box.textContent.trim().slice(0, 90);
      if (!cell) continue;
      const outputs = [...cell.querySelectorAll('.cell-output')], waiting = [...outputs, ...words_after(box, cell)];
      const input = element('input', {type: 'text', autocomplete: 'off', ariaLabel: 'Your guess', placeholder: 'your guess'});
      const button = element('button', {type: 'submit', textContent: 'Show the result'});
      const form = element('form', {className: 'guessing'}, input, button);
      const show = guess => {
        waiting.forEach(part => part.classList.remove('covered'));
        form.replaceWith(element('p', {className: 'guessed'}, guess ? 'Your guess: ' : '', element('strong', {textContent: guess}), ' ', again));
        again.hidden = !guess;
      };
      const ask = () => {
        waiting.forEach(part => part.classList.add('covered'));
        outputs[0].before(form);
      };
      const again = element('button', {type: 'button', textContent: 'guess again'});
      again.addEventListener('click', () => {
        delete guesses[question];
        keep('guesses', guesses);
        again.parentElement.remove();
        ask();
        input.select();
      });
      form.addEventListener('submit', event => {
        event.preventDefault();
        guesses[question] = input.value.trim();
        keep('guesses', guesses);
        show(guesses[question]);
      });
      if (searched) continue; // who comes from a search looks for what is in the page
      ask();
      if (question in guesses) show(guesses[question]);
      const arrive = () => { // by a link to something that waits
        const target = document.getElementById(decodeURIComponent(location.hash.slice(1)));
        if (!target || !waiting.some(part => part.contains(target) && part.matches('.covered'))) return;
        show('');
        target.scrollIntoView();
      };
      addEventListener('hashchange', arrive);
      arrive();
    }
  });

  // Exercises can be ticked, and chapters that were read to their end are; the sidebar shows both.
  ready(() => {
    const done = kept('done', {}), totals = kept('exercises', {}), read = new Set(kept('read', []));
    const tell = () => {
      for (const link of document.querySelectorAll('#quarto-sidebar a.sidebar-link')) {
        const page = page_of(link), n = Object.keys(done).filter(exercise => exercise.startsWith(page + ': ')).length;
        link.querySelector('.progress-made')?.remove();
        if (!n && !read.has(page)) continue;
        const total = Math.max(n, totals[page] || 0); // an exercise may have got another name since
        const shown = (read.has(page) ? ' ✓' : '') + (n ? ` ${n}/${total}` : '');
        link.append(element('span', {className: 'progress-made', textContent: shown}));
        link.title = [read.has(page) && 'read to the end', n && `${n} of ${total} exercises done`].filter(Boolean).join(', ');
      }
    };
    // an exercise begins with its name in bold letters; a section without such names is one exercise
    const exercises = [...document.querySelectorAll('main section[id^=try-it]')].flatMap(section => {
      const named = [...section.querySelectorAll(':scope > p > strong:first-child')].filter(title => !title.previousSibling && title.textContent !== 'Next');
      return named.length ? named : [section.querySelector('h2')];
    });
    for (const title of exercises) {
      const exercise = name + ': ' + title.textContent;
      const box = element('input', {type: 'checkbox', className: 'done', checked: exercise in done, ariaLabel: 'I have done exercise ' + title.textContent});
      box.addEventListener('change', () => {
        if (box.checked) done[exercise] = 1; else delete done[exercise];
        keep('done', done);
        tell();
      });
      if (title.matches('h2')) title.prepend(box, ' '); else title.before(box, ' ');
    }
    if (exercises.length) keep('exercises', {...totals, [name]: totals[name] = exercises.length});
    const last = [...document.querySelectorAll('#quarto-sidebar a.sidebar-link')].findLast(link => link.textContent.trim().endsWith('•'));
    if (last) last.closest('.sidebar-item').after(element('li', {className: 'legend', textContent: '• the path of 60 minutes'}));
    tell();

    const end = document.querySelector('.nav-page-next');
    if (!end || !/^\d/.test(document.querySelector('h1 .number')?.textContent || '')) return;
    new IntersectionObserver((entries, observer) => {
      if (!entries.some(entry => entry.isIntersecting)) return;
      observer.disconnect();
      keep('read', [...read.add(name)]);
      tell();
    }).observe(end);
  });

  // In code, what a page claims is told apart: each assertion, to its last line.
  ready(() => {
    for (const code of document.querySelectorAll('main pre.sourceCode code')) {
      let claims = false;
      for (const line of code.querySelectorAll(':scope > span')) {
        if (/^\S/.test(line.textContent)) claims = /^assert\b/.test(line.textContent) || claims && /^[)\]}]/.test(line.textContent);
        line.classList.toggle('claim', claims);
        line.style.setProperty('--in', Math.min(line.textContent.search(/\S|$/), 12)); // where it wraps, it goes on behind its own beginning
      }
    }
  });

  // ---- a canvas: the model of chapter 06 answers as one draws; it is loaded at the first stroke ----
  document.addEventListener('drawing', async event => {
    const {answer} = await import(new URL('draw.mjs', root));
    answer(event.target, event.detail);
  });
  ready(() => {
    const home = document.querySelector('.draws .cell-output');
    if (!home) return;
    const link = element('a', {href: new URL('show_results.html#digits-that-are-neither-3-nor-7', root), textContent: 'Chapter 06'});
    home.before(element('p', {}, 'What those lines taught a network: ', element('strong', {textContent: 'draw a 3 or a 7'}),
      ', and it answers in your browser. Then draw a 5. ', link, ' says why it answers as it does.'));
  });

  // ---- home: the line unfolds when it comes into sight, and again at a click ----
  ready(() => {
    const layers = document.querySelector('.unfolds');
    if (!layers) return;
    const unfold = () => {
      layers.classList.remove('unfolding');
      void layers.offsetWidth; // the animation starts anew
      layers.querySelectorAll('details').forEach(layer => layer.open = true);
      layers.classList.add('unfolding');
    };
    const line = document.querySelector('.one-line');
    const button = element('button', {type: 'button', className: 'unfold', textContent: 'unfold it again'});
    button.addEventListener('click', unfold);
    if (line) line.append(button);
    layers.classList.add('waiting');
    new IntersectionObserver((entries, observer) => {
      if (!entries.some(entry => entry.isIntersecting)) return;
      observer.disconnect();
      layers.classList.remove('waiting');
      unfold();
    }, {rootMargin: '0px 0px -15% 0px'}).observe(layers);
  });
})();
