-- The globals of scripts and functions: Lua's own, without the dangerous ones, behind tables that
-- cannot be changed. Runs once in each interpreter, before any script.
--
-- Plain Lua 5.1 has no read-only tables. Here a library is an empty table whose metatable finds the
-- contents and refuses writes. Functions that go around metatables know these tables (`frozen`).
--
-- Errors of Rust functions are userdata. Functions that catch errors (`pcall`, `xpcall`,
-- `coroutine.resume`, `load`) pass them through `native.reveal`, which makes the string or table
-- that a function written in C would have raised, and raises the stop of a script again.
--
-- A function of Lua takes the place of its caller in `return f()`: the caller's line is lost for
-- error texts. So functions whose errors matter are written in Rust, and are called directly.

local native, libraries = ...

local error, getmetatable, ipairs, load, loadstring, next, pcall, rawget, select,
  setmetatable, tostring, type, xpcall =
  error, getmetatable, ipairs, load, loadstring, next, pcall, rawget, select,
  setmetatable, tostring, type, xpcall
local byte, format = string.byte, string.format
local insert, create, resume = table.insert, coroutine.create, coroutine.resume
local unpack = unpack
local collectgarbage, reveal, trace = collectgarbage, native.reveal, native.trace

-- A frozen table -> its contents.
local frozen = native.frozen

local READONLY = "Attempt to modify a readonly table"

local function refuse()
  error(READONLY, 2)
end

-- Freezes a table. `shown` is its metatable as scripts see it.
local function freeze(contents, shown)
  local proxy = {}
  frozen[proxy] = contents
  local metatable = { __index = contents, __newindex = refuse, __metatable = shown or false }
  return setmetatable(proxy, metatable), metatable
end

-- Raises an error at the caller of the global function `name`.
local function bad_argument(number, name, expected, value, absent)
  local found = absent and "no value" or type(value)
  error(format("bad argument #%d to '%s' (%s expected, got %s)", number, name, expected, found), 3)
end

local function missing(_, key)
  if type(key) ~= "string" and type(key) ~= "number" then
    error("Second argument to luaProtectedTableError must be a string or number", 2)
  end
  error(format("Script attempted to access nonexistent global variable '%s'", key), 2)
end

-- Functions that go around metatables ------------------------------------------------------------

local base = {}

function base.next(t, ...)
  local contents = frozen[t]
  if contents then
    return next(contents, ...)
  end
  if type(t) ~= "table" then
    bad_argument(1, "next", "table", t)
  end
  return next(t, ...)
end

local next_frozen = base.next

function base.pairs(t, ...)
  if type(t) ~= "table" then
    bad_argument(1, "pairs", "table", t)
  end
  return frozen[t] and next_frozen or next, t, nil
end

function base.rawget(t, key)
  if type(t) ~= "table" then
    bad_argument(1, "rawget", "table", t)
  end
  return rawget(frozen[t] or t, key)
end

base.rawset = native.rawset

-- The metatable of a library is nobody's business.
function base.getmetatable(value, ...)
  local metatable = getmetatable(value, ...)
  if metatable == false and frozen[value] then
    return nil
  end
  return metatable
end

function base.setmetatable(t, ...)
  if type(t) ~= "table" then
    bad_argument(1, "setmetatable", "table", t)
  end
  local metatable = ...
  if type(metatable) ~= "table" and (metatable ~= nil or select("#", ...) == 0) then
    error("bad argument #2 to 'setmetatable' (nil or table expected)", 2)
  end
  if frozen[t] then
    error(READONLY, 0)
  end
  local old = getmetatable(t)
  if old ~= nil and rawget(native.metatable(t), "__metatable") ~= nil then
    error("cannot change a protected metatable", 2)
  end
  -- Lua would find the fields of a frozen metatable only through its own metatable.
  return setmetatable(t, frozen[metatable] or metatable)
end

-- Lua's own counts the results in an int that overflows, and its check is compiled away.
function base.unpack(t, first, last)
  if first == nil and last == nil then
    return unpack(t)
  end
  if type(t) ~= "table" then
    bad_argument(1, "unpack", "table", t)
  end
  if last == nil then
    last = #t
  end
  if native.too_many(first, last) then
    error("too many results to unpack", 2)
  end
  return unpack(t, first, last)
end

local tables = libraries.table

function tables.insert(t, ...)
  if type(t) ~= "table" then
    bad_argument(1, "insert", "table", t)
  end
  if frozen[t] then
    error(READONLY, 0)
  end
  local position, value = ...
  if value ~= nil or type(position) == "number" and position < 0 and select("#", ...) > 1 then
    if type(position) ~= "number" and not native.number(position) then
      bad_argument(2, "insert", "number", position)
    end
    -- Lua moves each element between the end and the position.
    if native.number(position) < -1000000 then
      error("bad argument #2 to 'insert' (position out of bounds)", 2)
    end
    if select("#", ...) > 2 then
      error("wrong number of arguments to 'insert'", 2)
    end
  end
  return insert(t, ...)
end

-- Functions that catch errors ---------------------------------------------------------------------

-- Redis gives the text of an error table: scripts were written when errors were strings.
local function caught(ok, ...)
  if ok then
    return true, ...
  end
  local err = reveal((...))
  if type(err) == "table" then
    local text = err.err
    if type(text) == "string" or type(text) == "number" then
      err = text
    end
  end
  return false, err
end

function base.pcall(...)
  return caught(pcall(...))
end

local function handled(ok, ...)
  if ok then
    return true, ...
  end
  -- Raises a stop again, which the handler left as it was.
  return false, reveal(...)
end

function base.xpcall(f, handler)
  return handled(xpcall(f, function(err)
    if native.stopped() then
      return err
    end
    return handler(reveal(err))
  end))
end

local coroutines = libraries.coroutine

local function resumed(ok, ...)
  if ok then
    return true, ...
  end
  return false, reveal((...))
end

function coroutines.resume(co, ...)
  if type(co) ~= "thread" then
    error("bad argument #1 to 'resume' (coroutine expected)", 2)
  end
  return resumed(resume(co, ...))
end

-- Functions that compile --------------------------------------------------------------------------

-- Bytecode can break the interpreter. With a blank before it, it is a text with a syntax error.
local function as_text(piece)
  if type(piece) == "string" and byte(piece) == 27 then
    return " " .. piece
  end
  return piece
end

function base.loadstring(text, name)
  if type(text) ~= "string" and type(text) ~= "number" then
    bad_argument(1, "loadstring", "string", text, text == nil)
  end
  return loadstring(as_text(text), name or text)
end

local function loaded(f, err)
  if f then
    return f
  end
  return nil, reveal(err)
end

function base.load(reader, name)
  if type(reader) ~= "function" then
    bad_argument(1, "load", "function", reader)
  end
  local first = true
  return loaded(load(function()
    local piece = reader()
    if first then
      first = false
      return as_text(piece)
    end
    return piece
  end, name))
end

-- The collector serves all scripts: none may stop or slow it.
function base.collectgarbage(option, ...)
  if option == nil or option == "collect" or option == "count" or option == "step" then
    return collectgarbage(option, ...)
  end
  if option == "stop" or option == "restart" or option == "setpause" or option == "setstepmul" then
    return 0
  end
  error(format("bad argument #1 to 'collectgarbage' (invalid option '%s')", tostring(option)), 2)
end

for name, f in next, native.string do
  libraries.string[name] = f
end
for name, f in next, native.math do
  libraries.math[name] = f
end
for _, name in ipairs({ "_VERSION", "assert", "error", "gcinfo", "ipairs",
  "rawequal", "select", "tonumber", "tostring", "type" }) do
  base[name] = _G[name]
end

-- Methods of strings find the library itself, scripts its frozen table.
local strings = freeze(libraries.string)
local metatable = getmetatable("")
metatable.__index = libraries.string
metatable.__metatable = freeze({ __index = strings })

for name, library in next, libraries do
  base[name] = name == "string" and strings or freeze(library)
end
base.server = base.redis

local globals, access = freeze(base, freeze({ __index = missing }))
base._G = globals
setmetatable(base, { __index = missing })

-- While a library is loaded it sees nothing but its own table `redis`.
local load_only = native.load_only
local while_loading
if load_only then
  local redis = freeze(setmetatable(load_only, { __index = missing }))
  while_loading = setmetatable({ redis = redis, server = redis }, { __index = missing })
end

return {
  globals = globals,
  -- Whether a library is being loaded.
  loading = function(yes)
    access.__index = yes and while_loading or base
  end,
  -- Runs the text of a library, which registers its functions.
  load = function(f)
    return xpcall(f, trace)
  end,
  -- Runs a script.
  run = function(f, keys, args)
    base.KEYS, base.ARGV = keys, args
    return xpcall(f, trace)
  end,
  -- Runs a function of a library.
  call = function(f, keys, args)
    return xpcall(function()
      return f(keys, args)
    end, trace)
  end,
}
