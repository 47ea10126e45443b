-- Tables, strings, closures and coroutines under a busy collector. With an argument it makes sure first
-- that this library is loaded.
if arg[1] then
    local maps = io.open("/proc/self/maps"):read("a")
    if not maps:find(arg[1], 1, true) then print("runs without the library") os.exit(1) end
end

local sum = 0
local function note(text)
    for i = 1, #text, 7 do sum = (sum * 31 + text:byte(i)) % 4294967291 end
end

local words = {}
for i = 1, 300000 do
    local key = "word " .. (i * 7919 % 50021)
    words[key] = (words[key] or "") .. string.char(97 + i % 26)
    if i % 3 == 0 then words["word " .. (i * 104729 % 50021)] = nil end
end
local keys = {}
for key in pairs(words) do keys[#keys + 1] = key end
table.sort(keys)
for _, key in ipairs(keys) do note(key .. words[key]) end
print(#keys, sum)

local makers = {}
for i = 1, 2000 do
    makers[i] = coroutine.wrap(function()
        for n = 1, 20 do coroutine.yield(("%d/%d "):rep(n):format(table.unpack({ i, n, i, n, i, n, i, n, i, n, i, n, i, n, i, n, i, n, i, n,
            i, n, i, n, i, n, i, n, i, n, i, n, i, n, i, n, i, n, i, n }))) end
    end)
end
for n = 1, 20 do for i = 1, #makers do note(makers[i]()) end end
makers = nil
print(collectgarbage("count") > 0, sum)

for _, mode in ipairs { "generational", "incremental" } do
    collectgarbage(mode)
    local ring = {}
    for i = 1, 400000 do ring[i % 5000] = { i, tostring(i), { i } } end
    collectgarbage()
    for i = 0, 4999 do note(ring[i][2]) end
    print(mode, sum)
end
