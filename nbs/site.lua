-- What every page of the site gets: numbers for chapters, links to them, a list of sections on phones.

local utils = pandoc.utils
local folder = quarto and quarto.project.directory or '.'

local function read(name)
  local file = assert(io.open(folder .. '/' .. name, 'r'), 'site.lua: there is no ' .. folder .. '/' .. name)
  local text = file:read('a')
  file:close()
  return text
end

local decode = (quarto or pandoc).json.decode
local public = {}                                -- the names that `from easing_fastai.core import *` brings
for _, name in ipairs(decode(read('public.json'))) do public[name] = true end

local function escape(text)
  return (text:gsub('[&<>"]', {['&'] = '&amp;', ['<'] = '&lt;', ['>'] = '&gt;', ['"'] = '&quot;'}))
end

-- The last name of what is called: `learn.fine_tune(1)` is fine_tune.
local function name_in(code) return code:gsub('%(.*$', ''):match('([%a_][%w_]*)$') end

-- nbdev links each name between backticks to a function of ours that has the same name. In the chapters that is
-- right for the public names only: `freeze` is fastai's there.
local function is_library_page() return quarto and quarto.doc.input_file:find('/api/') or false end

local function unlink(link)
  local code = link.content[1]
  if #link.content ~= 1 or code.t ~= 'Code' or not link.target:find('#') or is_library_page() then return link, false end
  local ours = link.target:find('easing_fastai/', 1, true) or not link.target:find('^https?:')
  if ours and not public[name_in(code.text) or ''] then return code, false end
  return link, false
end

-- chapters: number -> file, such as '05b' -> '05b_plain_fine_tune.ipynb'
local chapters = {}
for _, file in ipairs(pandoc.system.list_directory(folder)) do
  local number = file:match('^(%d%d%a?)_.*%.ipynb$')
  if number then chapters[number] = file end
end

local here = quarto and quarto.doc.input_file:match('([^/]+)$') or ''
local to_root = quarto and quarto.project.offset or '.'

-- "chapter 05" becomes a link, wherever it stands; "chapters 05 and 06" become two.
local function link_chapters(inlines)
  local counting = false
  for i, inline in ipairs(inlines) do
    if inline.t == 'Str' then
      local number, rest = inline.text:match('^(%d%d%a?)(%f[%W].*)$') -- "06’s", too
      if counting and number and chapters[number] then
        if chapters[number] ~= here then
          inlines[i] = pandoc.Span({pandoc.Link(number, to_root .. '/' .. chapters[number]), pandoc.Str(rest)})
        end
      elseif inline.text:match('^%(?[Cc]hapters?$') or inline.text:match('^%(?[Pp]ages?$') then counting = true
      elseif not (inline.text == 'and' or inline.text == 'or' or inline.text == 'to') then counting = false end
    elseif inline.t ~= 'Space' and inline.t ~= 'SoftBreak' then counting = false end
  end
  return inlines
end

local function sections(blocks)
  local items = {}
  for _, block in ipairs(blocks) do
    if block.t == 'Header' and block.level == 2 and block.identifier ~= '' then
      items[#items + 1] = '<li><a href="#' .. block.identifier .. '">' .. escape(utils.stringify(block.content)) .. '</a></li>'
    end
  end
  if #items < 3 then return nil end
  return pandoc.RawBlock('html', '<details class="on-phones"><summary>On this page</summary><ul>' .. table.concat(items) .. '</ul></details>')
end

-- A result that says "equal to the last bit" in each of its lines is a proof, and looks like one.
local function mark_proof(div)
  if not div.classes:includes('cell-output') then return nil end
  local proves = false
  for _, block in ipairs(div.content) do
    if block.t ~= 'CodeBlock' then return nil end
    for line in block.text:gmatch('[^\n]+') do
      if not line:find('equal,? to the last bit') then return nil end
      proves = true
    end
  end
  if not proves then return nil end
  div.classes:insert('proven') -- `proof` is Quarto's own, for theorems
  return div
end

-- "**Before you run it, guess**: …" becomes a box; where scripts run, site.js keeps the answer until you have guessed.
local function mark_guess(para)
  for _, inline in ipairs(para.content) do
    if inline.t == 'Strong' and utils.stringify(inline):find('^Before you .*guess') then
      return pandoc.Div({para}, pandoc.Attr('', {'guess'}))
    end
  end
end

-- Beside "Open in Colab" stands the notebook itself, for who works elsewhere; `make docs` copies it to the site.
local function add_download(para)
  local first = para.content[1]
  if not (first and first.t == 'Link' and utils.stringify(first) == 'Open in Colab') then return nil end
  local file = first.target:match('([^/]+%.ipynb)$')
  if not file then return nil end
  for i, inline in ipairs(para.content) do
    if inline.t == 'Str' and inline.text == '·' then
      para.content:insert(i, pandoc.RawInline('html', '· <a href="' .. to_root .. '/notebooks/' .. file .. '" download>Download</a> '))
      return para
    end
  end
end

-- `finish_site` of easing_fastai/dev/site.py puts the version before it: Quarto may work in a copy, far from the package.
local function made_of()
  return pandoc.RawBlock('html', '<p class="made">page made on ' .. os.date('%d %B %Y'):gsub('^0', '') .. '</p>')
end

-- Badges are images on other hosts: on the site their words are enough, and nobody else is asked.
local function without_badge(image)
  if image.src:find('^https?:') then return image.caption end
end

local skip = function(element) return element, false end

-- Quarto has the texts of the menu rendered with the page: they are links already.
local function skip_menu(div)
  if div.identifier == 'quarto-navigation-envelope' then return div, false end
end

function Pandoc(doc)
  if not FORMAT:match('html') then return nil end
  doc.blocks = doc.blocks:walk {traverse = 'topdown', Header = skip, Link = unlink}
  doc.blocks = doc.blocks:walk {traverse = 'topdown', Header = skip, Link = skip, Div = skip_menu, Inlines = link_chapters}
  if quarto then quarto.doc.include_text('in-header', '<script src="' .. to_root .. '/site.js" defer></script>') end
  local list = sections(doc.blocks)
  if list then doc.blocks:insert(1, list) end
  doc.blocks = doc.blocks:walk {Div = mark_proof, Para = function(para) return mark_guess(para) or add_download(para) end, Image = without_badge}
  if quarto then doc.blocks:insert(made_of()) end
  local number = here:match('^(%d%d%a?)_')
  if number and doc.meta.title then
    doc.meta.pagetitle = doc.meta.pagetitle or number .. ' ' .. utils.stringify(doc.meta.title)
    doc.meta.title = pandoc.MetaInlines({pandoc.RawInline('html', '<span class="number">' .. number .. '</span> '), table.unpack(pandoc.Inlines(doc.meta.title))})
  end
  return doc
end
