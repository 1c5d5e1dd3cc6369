-- What the gates have of the same clients. It is part of lease.lua, whose clock it goes by. space is where
-- it is kept: a hash with the key of the names, and hashes of names by generation. A name that nobody has
-- reported in this generation or the one before is forgotten.

local stale = 3000         -- milliseconds after which a gate that reports a client no more has nothing of it
local most_names = 100000  -- in a generation; what comes on top is not counted

-- The key that names are made with: of two, that which has been a gate's for longer.
local function settle_key(space, key, age)
	local kept = redis.call('HMGET', space, 'key', 'age')
	local kept_age = tonumber(kept[2] or '-1')
	if not kept[1] or kept[1] ~= key and age > kept_age then
		kept = { key }
		kept_age = -1
	end
	if kept[1] == key then
		redis.call('HSET', space, 'key', key, 'age', string.format('%d', math.max(age, kept_age, 0)))
	end
	redis.call('PEXPIRE', space, 86400000)
	return kept[1]
end

-- What is kept of some names, '' for a new one; a function that keeps something of the i-th, if there is
-- room; and one that writes what was kept.
local function open(space, length, clock, names)
	local generation = math.floor(clock / length)
	local now = string.format('%s:%d', space, generation)
	local old, is_new = redis.call('HMGET', now, unpack(names)), {}
	local missing, at = {}, {}
	for i = 1, #names do
		if not old[i] then
			missing[#missing + 1], at[#at + 1] = names[i], i
		end
	end
	if #missing > 0 then
		local full = redis.call('HLEN', now) >= most_names
		local before = redis.call('HMGET', string.format('%s:%d', space, generation - 1), unpack(missing))
		for j, i in ipairs(at) do old[i], is_new[i] = before[j] or '', full end
	end
	local fields = {}
	local function put(i, value)
		if is_new[i] then return false end
		local n = #fields
		fields[n + 1], fields[n + 2] = names[i], value
		return true
	end
	local function save()
		if #fields == 0 then return end
		redis.call('HSET', now, unpack(fields))
		redis.call('PEXPIRE', now, 2 * length)
	end
	return old, put, save
end

-- Of each client what it owes, which is forgiven at its rate, and what it has at the gates that have
-- reported it lately.
local function count(space, clock, me, text)
	local names, used, rate, most, fast, slow, waits, n = {}, {}, {}, {}, {}, {}, {}, 0
	for name, u, r, m, f, s, w in string.gmatch(text, '(%x+) (%S+) (%S+) (%S+) (%d+) (%d+) (%d);') do
		n = n + 1
		names[n], used[n], rate[n], most[n], fast[n], slow[n], waits[n] = name, u, r, m, f, s, w
	end
	if n == 0 then return '' end
	local old, put, save = open(space .. ':used', 120000, clock, names)
	local answers = {}
	for i = 1, n do
		local debt, at = string.match(old[i], '^(%d+),(%d+)')
		debt = (debt or 0) - math.max(0, clock - (at or clock)) * rate[i]
		debt = math.floor(math.min(most[i], math.max(0, math.max(0, debt) + used[i])))
		local value, f_sum, s_sum, gates, rank, wait = debt .. ',' .. clock, 0, 0, 0, 0, 0
		for gate, seen, f, s, w in string.gmatch(old[i], ' (%w+),(%d+),(%d+),(%d+),(%d)') do
			if gate ~= me and math.abs(clock - seen) <= stale then
				value = value .. ' ' .. gate .. ',' .. seen .. ',' .. f .. ',' .. s .. ',' .. w
				f_sum, s_sum, gates = f_sum + f, s_sum + s, gates + 1
				if gate < me then rank = rank + 1 end
				if w == '1' then wait = 1 end
			end
		end
		if fast[i] + slow[i] + waits[i] > 0 then
			value = value .. ' ' .. me .. ',' .. clock .. ',' .. fast[i] .. ',' .. slow[i] .. ',' .. waits[i]
		end
		answers[i] = put(i, value) and debt .. ' ' .. f_sum .. ' ' .. s_sum .. ' ' .. gates .. ' ' .. rank .. ' ' .. wait or '-'
	end
	save()
	return table.concat(answers, ';')
end

-- The addresses in a list of what is kept of a client key, the oldest first, and when they were seen.
local function addresses(value, sign, clock, per)
	local list, seen = {}, {}
	for address, at in string.gmatch(value, sign .. '(%x+),(%d+)') do
		if math.abs(clock - at) < per then
			list[#list + 1], seen[#seen + 1] = address, tonumber(at)
		end
	end
	return list, seen
end

local function find(list, address)
	for i = 1, #list do
		if list[i] == address then return i end
	end
end

-- What is kept of a client key, after an address has used it: the addresses that use it (+), and those that
-- were evicted (-). Wait is for how long the address may not.
local function admit(value, clock, address, most, per, evict)
	local active, seen = addresses(value, '%+', clock, per)
	local barred, since = addresses(value, '%-', clock, per)
	local wait, known, out = 0, find(active, address), find(barred, address)
	if known then
		table.remove(active, known)
		table.remove(seen, known)
	elseif out then
		wait = math.max(1, since[out] + per - clock)
	elseif #active >= most and not evict then
		wait = math.max(1, seen[1] + per - clock)
	elseif #active >= most then
		barred[#barred + 1], since[#since + 1] = table.remove(active, 1), clock
		table.remove(seen, 1)
	end
	if wait == 0 then active[#active + 1], seen[#seen + 1] = address, clock end
	local words = {}
	for i = 1, #active do words[#words + 1] = '+' .. active[i] .. ',' .. seen[i] end
	for i = math.max(1, #barred - 63), #barred do words[#words + 1] = '-' .. barred[i] .. ',' .. since[i] end
	return table.concat(words), wait
end

-- Of each client key the addresses that use it: by the time within which they count, as that is how long
-- they are kept. Answered is for how long each address may not.
local function sight(space, clock, text)
	local answers, groups, n = {}, {}, 0
	for name, address, most, per, evict in string.gmatch(text, '(%x+) (%x+) (%d+) (%d+) (%d);') do
		local g = groups[per] or { names = {}, at = {}, of = {}, address = {}, most = {}, evict = {}, answer = {} }
		groups[per], n = g, n + 1
		if not g.at[name] then
			g.names[#g.names + 1] = name
			g.at[name] = #g.names
		end
		local i = #g.of + 1
		g.of[i], g.address[i], g.most[i], g.evict[i], g.answer[i] = g.at[name], address, tonumber(most), evict == '1', n
	end
	for per_text, g in pairs(groups) do
		local per = tonumber(per_text)
		local values, put, save = open(space .. ':seen:' .. per_text, per, clock, g.names)
		for i = 1, #g.of do
			local k, wait = g.of[i]
			values[k], wait = admit(values[k], clock, g.address[i], g.most[i], per, g.evict[i])
			answers[g.answer[i]] = tostring(wait)
		end
		for k = 1, #g.names do put(k, values[k]) end
		save()
	end
	return table.concat(answers, ';')
end
