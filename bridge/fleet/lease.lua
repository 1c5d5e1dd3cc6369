-- One renewal of a gate's lease, or its end. KEYS[1] is a hash: one field for each gate, and what the
-- ledger knows of time. KEYS[2] is what the names of keys begin with that have the clients. See doc.go for
-- the rules.
--
-- ARGV: gate, name, seq, workers, gates, term, settle, forget (milliseconds), holds, short, wanted,
-- and "join", "drain" or "leave"; the key of clients' names ("": nothing is said of clients), its age in
-- seconds, what clients use, and where client keys were seen.
-- Returns: status, granted, keep, run, gates that are there, what others hold, and 1 if they were told
-- other numbers of workers or gates; the key of clients' names ("": nothing was said), what they use
-- elsewhere, which addresses may not use a key, and why clients could not be counted.

local key = KEYS[1]
local me, name, seq = ARGV[1], ARGV[2], tonumber(ARGV[3])
local workers, gates = tonumber(ARGV[4]), tonumber(ARGV[5])
local term, settle, forget = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])
local holds, short, wanted = tonumber(ARGV[9]), tonumber(ARGV[10]), tonumber(ARGV[11])
local mode = ARGV[12]

-- An engine that has been started again may have forgotten what it has granted.
local info = redis.pcall('INFO', 'server')
local run = type(info) == 'string' and string.match(info, 'run_id:(%w+)') or '-'

-- Time is that of the ledger: it goes on by at most two seconds between two renewals, whatever the
-- engine's clock does. Where it may have missed some, gap says so: a gate that has not renewed since
-- may have its share by now, for its own time went on.
local t = redis.call('TIME')
local real = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)

local differ = 0 -- 1: gates were told different numbers of workers or gates
local ledger = { run = '', clock = 0, last = real, young = 0, gap = 0 }
local members, ids = {}, {}
local all = redis.call('HGETALL', key)
for i = 1, #all, 2 do
	local field, value = all[i], all[i + 1]
	local words = {}
	for word in string.gmatch(value, '%S+') do words[#words + 1] = word end
	if field == 'ledger' then
		ledger = { run = words[4], clock = tonumber(words[1]), last = tonumber(words[2]), young = tonumber(words[3]), gap = tonumber(words[5]) }
	else
		members[field] = {
			granted = tonumber(words[1]), short = tonumber(words[2]), wanted = tonumber(words[3]), seen = tonumber(words[4]),
			seq = tonumber(words[5]), run = words[6], drains = words[7] == '1', name = words[8],
			workers = tonumber(words[9]), gates = tonumber(words[10]), born = tonumber(words[11]),
		}
		ids[#ids + 1] = field
	end
end
local passed = real - ledger.last
ledger.clock = ledger.clock + math.max(0, math.min(passed, 2000))
ledger.last = real
local anew = run ~= ledger.run or #all == 0
if anew or passed < 0 or passed > 2000 then
	ledger.clock = ledger.clock + 1
	ledger.gap = ledger.clock
end
if anew then ledger.run, ledger.young = run, ledger.clock end

local function save(id)
	local m = members[id]
	redis.call('HSET', key, id, string.format('%d %d %d %d %d %s %s %s %d %d %d', m.granted, m.short, m.wanted, m.seen, m.seq,
		m.run, m.drains and '1' or '0', m.name, m.workers, m.gates, m.born))
end
local function finish(status, granted, keep, known, others)
	redis.call('PEXPIRE', key, 86400000)
	redis.call('HSET', key, 'ledger', string.format('%d %d %d %s %d', ledger.clock, ledger.last, ledger.young,
		ledger.run, ledger.gap))
	local names, counts, waits, failed = '', '', '', ''
	if ARGV[13] ~= '' then
		-- A lease does not depend on what comes of clients.
		local ok, err = pcall(function()
			names = settle_key(KEYS[2], ARGV[13], tonumber(ARGV[14]))
			counts = count(KEYS[2], ledger.clock, string.sub(me, 1, 8), ARGV[15])
			waits = sight(KEYS[2], ledger.clock, ARGV[16])
		end)
		if not ok then
			names, counts, waits, failed = '', '', '', type(err) == 'table' and err.err or tostring(err)
		end
	end
	return { status, granted, keep, run, known, others, differ, names, counts, waits, failed }
end

local mine = members[me]
if mine and seq <= mine.seq then
	return { 'late', 0, 0, run, #ids, 0, 0, '', '', '', '' }
end
if mode == 'leave' then
	redis.call('HDEL', key, me)
	return finish('left', 0, 0, 0, 0)
end

-- While gates are told different numbers, the careful ones count.
for _, id in ipairs(ids) do
	local m = members[id]
	if id ~= me and ledger.clock - m.seen <= term and not m.drains and (m.workers ~= tonumber(ARGV[4]) or m.gates ~= tonumber(ARGV[5])) then
		workers, gates, differ = math.min(workers, m.workers), math.max(gates, m.gates), 1
	end
end
local share = math.floor(workers / gates)

-- When the successor of a gate's process came, by process.
local succeeded = {}
for _, id in ipairs(ids) do
	local m = members[id]
	for _, other in pairs(members) do
		if other.name == m.name and other.seen > m.seen then
			succeeded[id] = math.min(succeeded[id] or other.born, other.born)
		end
	end
	if id ~= me and m.name == name then
		local born = mine and mine.born or ledger.clock
		succeeded[id] = math.min(succeeded[id] or born, born)
	end
end

-- Gates that have not renewed. One that has a successor holds nothing after its requests.
local present, reserved, total, confirmed = {}, 0, 0, 0
local crowd, others_known = 0, 0
local former = 0 -- of the crowd, processes of this gate's name: it may have followed one that was killed
for _, id in ipairs(ids) do
	local m = members[id]
	local silent = ledger.clock - m.seen
	if id ~= me then
		local rest = share
		if m.drains or silent > forget or succeeded[id] and ledger.clock - succeeded[id] > settle then rest = 0 end
		local unsure = silent > term or m.seen < ledger.gap
		if silent > term + settle then
			m.granted = math.min(m.granted, rest)
			if m.granted == 0 and rest == 0 then
				members[id] = nil
				redis.call('HDEL', key, id)
			end
		end
		if members[id] then
			local held = unsure and math.max(m.granted, rest) or m.granted
			if silent <= term and not m.drains then
				-- One that this gate follows, and that misses two renewals, has ended.
				if m.name ~= name then
					crowd = crowd + 1
				elseif silent <= 2000 then
					crowd, former = crowd + 1, former + 1
				end
			end
			if not succeeded[id] and (rest > 0 or not unsure) then others_known = others_known + 1 end
			if unsure or m.drains then
				reserved = reserved + held
			else
				present[#present + 1] = id
			end
			total = total + held
			if m.run == run and not succeeded[id] then confirmed = confirmed + 1 end
		end
	end
end
local others = total

if not mine then
	if mode == 'join' and crowd >= gates then
		local wait = seq <= 4 and crowd - former < gates -- until the one before it is known to have ended
		return finish(wait and 'young' or 'crowded', 0, 0, crowd, others)
	end
	mine = { granted = 0, born = ledger.clock }
	members[me] = mine
end
mine.granted, mine.short, mine.wanted, mine.seen, mine.seq = holds, short, math.max(short, wanted), ledger.clock, seq
mine.run, mine.drains, mine.name = run, mode == 'drain', name
mine.workers, mine.gates = tonumber(ARGV[4]), tonumber(ARGV[5])
total, confirmed = total + holds, confirmed + 1

local keep, status = holds, 'ok'
if mine.drains then
	status = 'drains'
else
	-- While not all gates have been heard of since the ledger may have forgotten something, others may
	-- hold what is not known: nothing more is granted. After a term they use no more than their shares,
	-- but what they had in flight may not be over.
	local limit, may_shrink = workers, true
	if confirmed < gates and ledger.clock < ledger.young + term + settle then
		limit = share
		if ledger.clock < ledger.young + term then
			limit, status = 0, 'young'
			may_shrink = ledger.clock >= ledger.young + 1500 -- all that are there have renewed by then
		end
	end
	-- What each gate that is there should have: one worker, then what its short requests need, then what
	-- all its requests need, then an equal part of what is left. At each level the smallest come first.
	present[#present + 1] = me
	table.sort(present)
	if ledger.clock < ledger.young + forget then -- gates that may be there have their share, too
		local unknown = share * math.max(0, gates - 1 - others_known)
		reserved, total = reserved + unknown, total + unknown
	end
	local pool = math.max(#present, workers - reserved)
	local low, cap = {}, {}
	for i = 1, #present do low[i] = 0 end
	local function fill()
		local function at(level)
			local sum = 0
			for i = 1, #present do sum = sum + math.max(low[i], math.min(level, cap[i])) end
			return sum
		end
		local least, most = 0, workers
		while least < most do -- the highest level that fits
			local middle = math.ceil((least + most) / 2)
			if at(middle) <= pool then least = middle else most = middle - 1 end
		end
		local left = pool - at(least)
		for i = 1, #present do
			local n = math.max(low[i], math.min(least, cap[i]))
			if left > 0 and cap[i] > least and n == least then n, left = n + 1, left - 1 end
			low[i] = n
		end
	end
	for i = 1, #present do cap[i] = 1 end
	fill()
	for i = 1, #present do cap[i] = math.max(low[i], math.min(workers, members[present[i]].short)) end
	fill()
	for i = 1, #present do cap[i] = math.max(low[i], math.min(workers, members[present[i]].wanted)) end
	fill()
	local needed = {}
	for i = 1, #present do needed[i] = low[i] end
	for i = 1, #present do cap[i] = workers end
	fill()

	local target, need, lack = 0, 0, math.max(0, total - workers)
	for i = 1, #present do
		if present[i] == me then
			target, need = low[i], needed[i]
		else
			lack = lack + math.max(0, needed[i] - members[present[i]].granted)
		end
	end
	local free = math.max(0, workers - total)
	if holds > target and lack > free and may_shrink then
		keep = math.max(target, holds - (lack - free))
	elseif holds < math.min(target, limit) then
		target, need = math.min(target, limit), math.min(need, limit)
		-- Others that lack what they need come before what this gate merely might need.
		local more = math.min(math.max(0, need - holds), free)
		more = more + math.max(0, math.min(target - holds - more, free - more - lack))
		mine.granted = holds + more
		keep = mine.granted
	end
end
save(me)
return finish(status, mine.granted, keep, crowd + 1, others)
