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

-- What is kept of some names, and a function that keeps something of the i-th.
local function open(space, length, clock, names)
	if #names == 0 then return {}, function() end, function() end end
	local generation = math.floor(clock / length)
	local now = string.format('%s:%d', space, generation)
	local values = redis.call('HMGET', now, unpack(names))
	local before = redis.call('HMGET', string.format('%s:%d', space, generation - 1), unpack(names))
	local full = redis.call('HLEN', now) >= most_names
	local fields = {}
	local function put(i, value)
		if full and not values[i] then return false end
		fields[#fields + 1], fields[#fields + 2] = names[i], value
		return true
	end
	local function save()
		if #fields == 0 then return end
		redis.call('HSET', now, unpack(fields))
		redis.call('PEXPIRE', now, 2 * length)
	end
	local old = {}
	for i = 1, #names do old[i] = values[i] or before[i] or '' end
	return old, put, save
end

-- Of each client what it owes, which is forgiven at its rate, and what it has at the gates that have
-- reported it lately.
local function count(space, clock, me, text)
	local names, reports = {}, {}
	for name, used, rate, most, fast, slow, waits in string.gmatch(text, '(%x+) (%S+) (%S+) (%S+) (%d+) (%d+) (%d);') do
		names[#names + 1] = name
		reports[#reports + 1] = { used = tonumber(used), rate = tonumber(rate), most = tonumber(most), fast = fast, slow = slow, waits = waits }
	end
	local old, put, save = open(space .. ':used', 120000, clock, names)
	local answers = {}
	for i, r in ipairs(reports) do
		local debt, at, kept = 0, clock, {}
		local fast, slow, gates, rank = 0, 0, 0, 0
		for word in string.gmatch(old[i], '%S+') do
			local gate, seen, f, s, w = string.match(word, '(%w+),(%d+),(%d+),(%d+),(%d)')
			if not gate then
				local d, t = string.match(word, '(%d+),(%d+)')
				debt, at = tonumber(d), math.min(tonumber(t), clock)
			elseif gate ~= me and math.abs(clock - tonumber(seen)) <= stale then
				kept[#kept + 1] = word
				fast, slow, gates = fast + tonumber(f), slow + tonumber(s), gates + 1
				if gate < me then rank = rank + 1 end
			end
		end
		debt = math.max(0, debt - (clock - at) * r.rate)
		debt = math.min(r.most, math.max(0, debt + r.used))
		if r.fast + r.slow + r.waits > 0 then
			kept[#kept + 1] = string.format('%s,%d,%s,%s,%s', me, clock, r.fast, r.slow, r.waits)
		end
		local value = string.format('%d,%d', debt, clock)
		if #kept > 0 then value = value .. ' ' .. table.concat(kept, ' ') end
		answers[i] = put(i, value) and string.format('%d %d %d %d %d;', debt, fast, slow, gates, rank) or '-;'
	end
	save()
	return table.concat(answers)
end

-- Of each client key the addresses that use it, and those that were evicted. Answered is for how long an
-- address may not, 0 if it may.
local function sight(space, clock, text)
	local answers, groups, order = {}, {}, {}
	for name, address, most, per, evict in string.gmatch(text, '(%x+) (%x+) (%d+) (%d+) (%d);') do
		local g = groups[per]
		if not g then
			g = { names = {}, index = {}, sightings = {} }
			groups[per], order[#order + 1] = g, per
		end
		if not g.index[name] then
			g.names[#g.names + 1], g.index[name] = name, #g.names + 1
		end
		answers[#answers + 1] = '0;'
		g.sightings[#g.sightings + 1] = { of = g.index[name], address = address, most = tonumber(most), evict = evict == '1', answer = #answers }
	end
	for _, per_text in ipairs(order) do
		local g, per = groups[per_text], tonumber(per_text)
		local old, put, save = open(space .. ':seen:' .. per_text, per, clock, g.names)
		local keys = {}
		for i = 1, #g.names do
			local k = { active = {}, barred = {} }
			for list, address, at in string.gmatch(old[i], '([+-])(%x+),(%d+)') do
				if math.abs(clock - tonumber(at)) < per then
					local to = list == '+' and k.active or k.barred
					to[#to + 1] = { address, tonumber(at) }
				end
			end
			keys[i] = k
		end
		for _, s in ipairs(g.sightings) do
			local k, known, wait = keys[s.of], nil, 0
			for i, a in ipairs(k.active) do
				if a[1] == s.address then known = i end
			end
			for _, a in ipairs(k.barred) do
				if a[1] == s.address then wait = math.max(1, a[2] + per - clock) end
			end
			if known then
				table.remove(k.active, known)
				wait = 0
			elseif wait == 0 and #k.active >= s.most then
				if s.evict then
					local out = table.remove(k.active, 1)
					if #k.barred >= 64 then table.remove(k.barred, 1) end
					k.barred[#k.barred + 1] = { out[1], clock }
				else
					wait = math.max(1, k.active[1][2] + per - clock)
				end
			end
			if wait == 0 then k.active[#k.active + 1] = { s.address, clock } end
			answers[s.answer] = string.format('%d;', wait)
		end
		for i, k in ipairs(keys) do
			local words = {}
			for _, a in ipairs(k.active) do words[#words + 1] = string.format('+%s,%d', a[1], a[2]) end
			for _, a in ipairs(k.barred) do words[#words + 1] = string.format('-%s,%d', a[1], a[2]) end
			put(i, table.concat(words, ' '))
		end
		save()
	end
	return table.concat(answers)
end
