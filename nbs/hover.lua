-- Inline code that is a fastai name shows what it means, on hover and on focus.
-- The meanings come from names.json, which is written from the dictionary that decode() reads.

local function read_meanings()
  local folder = quarto and quarto.project.directory or '.'
  local path = folder .. '/names.json'
  local file = assert(io.open(path, 'r'), 'hover.lua: there is no ' .. path)
  local text = file:read('a')
  file:close()
  return (quarto or pandoc).json.decode(text)
end

local function escape(text)
  return (text:gsub('[&<>"]', {['&'] = '&amp;', ['<'] = '&lt;', ['>'] = '&gt;', ['"'] = '&quot;'}))
end

-- `learn.fine_tune(1)` and `item_tfms=` are looked up as fine_tune and item_tfms.
local function name_in(code)
  local bare = code:gsub('%(.*$', ''):gsub('=.*$', '')
  return bare:match('([%a_][%w_]*)$')
end

local meanings, seen, count = nil, {}, 0

local function explain(code)
  local name = name_in(code.text)
  local meaning = name and meanings[name]
  if not meaning then return nil end
  count = count + 1
  local id = 'meaning-' .. count
  -- The first of its name on a page can be reached with the keyboard; one stop for each is enough.
  local focus = seen[name] and '' or ' tabindex="0"'
  seen[name] = true
  return pandoc.RawInline('html', string.format(
    '<span class="named"><code%s aria-describedby="%s">%s</code><span class="meaning" role="tooltip" id="%s">%s</span></span>',
    focus, id, escape(code.text), id, escape(meaning)))
end

-- Nothing inside links and headings: a link leads somewhere else, and a heading goes into the table of contents.
local skip = function(element) return element, false end

function Pandoc(doc)
  if not FORMAT:match('html') then return nil end
  meanings = read_meanings()
  doc.blocks = doc.blocks:walk {traverse = 'topdown', Link = skip, Header = skip, Code = explain}
  return doc
end
