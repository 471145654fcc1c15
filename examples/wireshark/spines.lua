-- Dissector of captures of Spines for Wireshark and tshark.
--
--   spines capture -w overlay.pcapng
--   tshark -X lua_script:"$(spines capture --dissector)" -r overlay.pcapng
--   wireshark -X lua_script:"$(spines capture --dissector)" overlay.pcapng
--
-- It does not stay: to have Wireshark load it each time, copy it to its folder of personal Lua
-- plugins (Help, About Wireshark, Folders). What `spines capture` writes has link type USER0
-- and in front of each datagram a head of its own (CAPTURE.md in src/cli/capture of the sources).
-- For what was captured on the wire with other tools, "Decode As" has SPINES_WIRE for UDP ports:
-- it shows headers and handshakes, and frames where links are not sealed.
--
-- What is read, and in which order, is as in src/cli/capture/dissect.ts, which a test compares
-- with it field by field. Names: spines.STRUCTURE.FIELD; spines.body.NAME for what has no
-- structure.

-- Tables of the codecs, compared with them by a test.
local layouts = {
  capture = {
    { "version", 1 },
    { "flags", 1 },
    { "wire version", 1 },
    { "drops bytes", 1 },
    { "node", 4 },
    { "peer", 4 },
  },
  datagram = {
    { "type", 1 },
    { "reserved", 1 },
    { "receiver index", 4 },
    { "packet number", 6 },
  },
  versions = {
    { "min", 1 },
    { "max", 1 },
  },
  handshake = {
    { "min", 1 },
    { "max", 1 },
    { "version", 1 },
    { "reserved", 1 },
    { "node", 4 },
    { "peer", 4 },
    { "sender index", 4 },
    { "instance", 6 },
    { "started", 6 },
    { "check", 4 },
  },
  refusal = {
    { "reason", 1 },
    { "min", 1 },
    { "max", 1 },
    { "reserved", 1 },
    { "address", 16 },
    { "port", 2 },
  },
  cookie = {
    { "nonce", 24 },
    { "sealed cookie", 32 },
  },
  key = {
    { "nonce", 8 },
    { "key", 32 },
  },
  frame = {
    { "type", 1 },
    { "length", 2 },
  },
  hello = {
    { "flags", 1 },
    { "burst", 1 },
    { "loss", 2 },
    { "stamp", 4 },
    { "echo", 4 },
    { "held", 4 },
  },
  close = {
    { "reason", 1 },
  },
  ack = {
    { "largest", 6 },
    { "delay", 2 },
    { "count", 1 },
    { "reserved", 1 },
    { "first", 2 },
  },
  ack_range = {
    { "gap", 2 },
    { "length", 2 },
  },
  path = {
    { "token", 8 },
  },
  size = {
    { "token", 8 },
  },
  split = {
    { "id", 2 },
    { "part", 1 },
    { "type", 1 },
  },
  twin = {
    { "instance", 6 },
    { "started", 6 },
    { "address", 16 },
    { "port", 2 },
  },
  reliable = {
    { "sequence", 4 },
  },
  realtime = {
    { "age", 2 },
  },
  again = {
    { "of", 2 },
    { "part", 1 },
    { "age", 2 },
  },
  request = {
    { "strike", 1 },
    { "copies", 1 },
    { "spacing", 1 },
    { "count", 1 },
    { "first", 4 },
  },
  request_range = {
    { "gap", 1 },
    { "length", 1 },
  },
  repair = {
    { "base", 2 },
    { "covered", 4 },
    { "lengths", 2 },
  },
  link_state = {
    { "lifetime", 2 },
  },
  advertisement = {
    { "origin", 4 },
    { "sequence", 6 },
    { "flags", 1 },
    { "name bytes", 1 },
    { "link count", 1 },
  },
  link_entry = {
    { "node", 4 },
    { "latency", 2 },
    { "loss", 2 },
  },
  facts = {
    { "min", 1 },
    { "max", 1 },
    { "major", 1 },
    { "minor", 1 },
    { "patch", 2 },
    { "capabilities", 4 },
    { "instance", 6 },
    { "started", 6 },
  },
  proof = {
    { "issued", 6 },
    { "certificate", 32 },
    { "signature", 64 },
  },
  version_entry = {
    { "origin", 4 },
    { "sequence", 6 },
  },
  digest = {
    { "flags", 1 },
  },
  record = {
    { "kind", 1 },
    { "page", 1 },
    { "origin", 4 },
    { "sequence", 6 },
    { "issued", 6 },
    { "certificate", 32 },
  },
  node_record = {
    { "instance", 6 },
    { "epoch", 3 },
    { "key", 32 },
  },
  record_entry = {
    { "origin", 4 },
    { "kind", 1 },
    { "page", 1 },
    { "sequence", 6 },
  },
  groups = {
    { "instance", 6 },
    { "count", 2 },
  },
  group_entry = {
    { "group", 4 },
  },
  certificate = {
    { "kind", 1 },
    { "version", 1 },
    { "roles", 1 },
    { "name bytes", 1 },
    { "node", 4 },
    { "serial", 8 },
    { "network", 32 },
    { "authority", 16 },
    { "not before", 6 },
    { "not after", 6 },
    { "signing key", 32 },
    { "exchange key", 32 },
  },
  revocation_offer = {
    { "flags", 1 },
  },
  revocation_entry = {
    { "authority", 16 },
    { "number", 6 },
    { "length", 2 },
  },
  revocation_want = {
    { "authority", 16 },
    { "number", 6 },
    { "missing", 4 },
  },
  revocation_part = {
    { "authority", 16 },
    { "number", 6 },
    { "length", 2 },
    { "index", 1 },
  },
  packet = {
    { "kind", 1 },
    { "ttl", 1 },
    { "mode", 1 },
    { "class", 1 },
    { "source", 4 },
    { "destination", 4 },
    { "source port", 2 },
    { "destination port", 2 },
  },
  seal = {
    { "source epoch", 3 },
    { "destination epoch", 3 },
    { "counter", 6 },
  },
  fragment = {
    { "message", 4 },
    { "index", 1 },
    { "count", 1 },
  },
  piece = {
    { "message", 4 },
    { "length", 2 },
    { "index", 1 },
    { "count", 1 },
  },
  sequenced = {
    { "run", 4 },
    { "message", 4 },
    { "index", 1 },
    { "count", 1 },
  },
  group = {
    { "run", 4 },
    { "number", 4 },
    { "content", 1 },
  },
  routed = {
    { "run", 4 },
    { "number", 4 },
    { "kind", 1 },
    { "form", 1 },
    { "nodes", 1 },
    { "edges", 1 },
  },
  notice = {
    { "reason", 1 },
    { "reserved", 1 },
    { "dropped", 2 },
    { "destination", 4 },
    { "source port", 2 },
    { "destination port", 2 },
    { "rate", 4 },
    { "quote", 8 },
  },
  echo = {
    { "operation", 1 },
    { "ttl left", 1 },
    { "sequence", 2 },
    { "id", 4 },
  },
  segment = {
    { "flags", 1 },
    { "sacks", 1 },
    { "window", 2 },
    { "stream", 4 },
    { "sequence", 6 },
    { "ack", 6 },
    { "delay", 2 },
  },
  sack = {
    { "start", 4 },
    { "end", 4 },
  },
  route_part = {
    { "message", 2 },
    { "index", 1 },
    { "count", 1 },
  },
  route_request = {
    { "type", 1 },
    { "source", 4 },
    { "destination", 4 },
    { "epoch", 6 },
    { "sequence", 4 },
    { "key", 32 },
    { "weight count", 1 },
  },
  route_weight = {
    { "u", 4 },
    { "v", 4 },
    { "exponent", 1 },
  },
  route_response = {
    { "type", 1 },
    { "source", 4 },
    { "destination", 4 },
    { "epoch", 6 },
    { "sequence", 4 },
    { "request", 32 },
    { "key", 32 },
    { "signature", 64 },
    { "hop count", 1 },
  },
  route_hop = {
    { "node", 4 },
    { "key", 32 },
    { "signature", 64 },
  },
  probed_data = {
    { "type", 1 },
    { "flags", 1 },
    { "epoch", 6 },
    { "path", 8 },
    { "counter", 6 },
    { "piece", 1 },
    { "hops", 1 },
  },
  probed_ack = {
    { "type", 1 },
    { "reserved", 1 },
    { "source", 4 },
    { "destination", 4 },
    { "epoch", 6 },
    { "path", 8 },
    { "counter", 6 },
    { "bitmap", 1 },
  },
}
local names = {
  datagram = {
    [17] = "INIT",
    [18] = "RESPONSE",
    [19] = "REFUSAL",
    [20] = "DATA",
    [33] = "SEALED_INIT",
    [34] = "SEALED_RESPONSE",
    [35] = "COOKIE",
    [36] = "SEALED_DATA",
    [37] = "KEY_REQUEST",
    [38] = "KEY_ANSWER",
  },
  frame = {
    [1] = "HELLO",
    [2] = "CLOSE",
    [3] = "ACK",
    [4] = "PATH_PROBE",
    [5] = "PATH_ANSWER",
    [6] = "SIZE_PROBE",
    [7] = "SIZE_ANSWER",
    [8] = "DATA",
    [9] = "RELIABLE",
    [10] = "REALTIME",
    [11] = "REALTIME_AGAIN",
    [12] = "REQUEST",
    [13] = "REPAIR",
    [14] = "SPLIT",
    [16] = "LINK_STATE",
    [17] = "LINK_STATE_ACK",
    [18] = "DIGEST",
    [19] = "REVOCATION_OFFER",
    [20] = "REVOCATION_WANT",
    [21] = "REVOCATION_PART",
    [22] = "RECORD",
    [23] = "RECORD_ACK",
    [25] = "RECORD_DIGEST",
    [26] = "CERTIFICATE",
    [28] = "TWIN",
    [29] = "GROUPS",
    [30] = "GROUPS_ACK",
    [31] = "GROUPS_DIGEST",
  },
  close = {
    [1] = "SHUTDOWN",
    [2] = "DEAD",
    [3] = "REMOVED",
  },
  hello_flags = {
    [1] = "PROBE",
    [2] = "ECHOES",
  },
  refusal = {
    [1] = "VERSION",
    [2] = "SECURITY",
    [3] = "KEY",
    [4] = "BROKEN",
    [5] = "NETWORK",
    [6] = "AUTHORITY",
    [7] = "FORGED",
    [8] = "AUTHORITY_TIME",
    [9] = "NOT_YET_VALID",
    [10] = "EXPIRED",
    [11] = "REVOKED",
    [12] = "ROLE",
    [13] = "KEY_OF_ANOTHER",
    [14] = "ANOTHER",
    [15] = "SELF",
    [16] = "CLOSED",
    [17] = "FULL",
    [18] = "STAMP",
    [19] = "TWIN",
    [20] = "PRESHARED_KEY",
  },
  kind = {
    [1] = "DATAGRAM",
    [2] = "FRAGMENT",
    [3] = "STREAM",
    [4] = "ECHO",
    [5] = "SEQUENCED",
    [6] = "PROBED",
    [7] = "ROUTE",
    [8] = "GROUP",
    [9] = "ROUTED",
    [12] = "PIECE",
    [13] = "NOTICE",
  },
  service = {
    [0] = "BEST_EFFORT",
    [1] = "RELIABLE",
    [2] = "REALTIME",
  },
  dissemination = {
    [0] = "LINK_STATE",
    [1] = "BYZANTINE",
    [2] = "ROUTED",
    [3] = "GRAPH",
  },
  echo = {
    [1] = "REQUEST",
    [2] = "REPLY",
    [3] = "EXPIRED",
  },
  segment_flags = {
    [1] = "SYN",
    [2] = "ACK",
    [4] = "FIN",
    [8] = "RST",
    [16] = "MARKED",
    [32] = "ASK",
    [64] = "DUPLICATE",
  },
  reset = {
    [0] = "UNSAID",
    [1] = "FORBIDDEN",
  },
  route = {
    [3] = "REQUEST",
    [4] = "RESPONSE",
  },
  probed = {
    [1] = "DATA",
    [2] = "ACK",
  },
}
local node_fields = {
  node = true,
  peer = true,
  origin = true,
  source = true,
  destination = true,
  group = true,
  u = true,
  v = true,
}
-- End of the tables.

local spines = Proto("spines", "Spines overlay")
local wire = Proto("spines_wire", "Spines datagram")

---------------------------------------------------------------------------- fields

-- Where names of values belong.
local value_names = {
  ["datagram.type"] = names.datagram,
  ["frame.type"] = names.frame,
  ["split.type"] = names.frame,
  ["close.reason"] = names.close,
  ["refusal.reason"] = names.refusal,
  ["packet.kind"] = names.kind,
  ["routed.kind"] = names.kind,
  ["echo.operation"] = names.echo,
  ["route_request.type"] = names.route,
  ["route_response.type"] = names.route,
  ["probed_data.type"] = names.probed,
  ["probed_ack.type"] = names.probed,
}

local function abbreviation(structure, name)
  return "spines." .. structure .. "." .. name:gsub("[ -]", "_")
end

local fields, all = {}, {}

local function register(key, field)
  fields[key] = field
  all[#all + 1] = field
end

local function field_of(structure, name, bytes)
  local abbr = abbreviation(structure, name)
  local values = value_names[structure .. "." .. name]
  if bytes > 6 then return ProtoField.bytes(abbr, name) end
  if bytes == 4 and node_fields[name] then return ProtoField.ipv4(abbr, name) end
  if bytes == 1 then return ProtoField.uint8(abbr, name, base.DEC, values) end
  if bytes == 2 then return ProtoField.uint16(abbr, name, base.DEC) end
  if bytes == 3 then return ProtoField.uint24(abbr, name, base.DEC) end
  if bytes == 4 then return ProtoField.uint32(abbr, name, base.DEC) end
  return ProtoField.uint64(abbr, name, base.DEC)
end

for structure, layout in pairs(layouts) do
  for _, entry in ipairs(layout) do
    register(structure .. "." .. entry[1], field_of(structure, entry[1], entry[2]))
  end
end

local texts = { "name", "groups" }
for _, name in ipairs(texts) do
  register("body." .. name, ProtoField.string(abbreviation("body", name), name))
end
local bodies = {
  "left over", "ephemeral key", "sealed", "mac", "cookie mac", "padding", "units", "of a frame",
  "statement", "signature", "of a list", "check", "issued", "certificate bytes", "group bytes",
  "tag", "payload", "of a message", "hop", "sealed bytes", "tail", "onion",
  "edge",
}
for _, name in ipairs(bodies) do
  register("body." .. name, ProtoField.bytes(abbreviation("body", name), name))
end
register("drops", ProtoField.string("spines.capture.drops", "dropped"))
register("service", ProtoField.uint8("spines.packet.service", "link service", base.DEC,
  names.service, 0x07))
register("dissemination", ProtoField.uint8("spines.packet.dissemination", "dissemination",
  base.DEC, names.dissemination, 0x38))
register("sealed", ProtoField.bool("spines.packet.sealed", "sealed from end to end", 8, nil, 0x40))
register("ecn", ProtoField.bool("spines.packet.ecn", "ECN mark", 8, nil, 0x80))
register("priority", ProtoField.uint8("spines.packet.priority", "priority", base.DEC, nil, 0x0f))
register("deadline", ProtoField.uint8("spines.packet.deadline", "deadline class", base.DEC, nil,
  0xf0))
register("out", ProtoField.bool("spines.capture.out", "it left", 8, nil, 0x01))
register("opened", ProtoField.bool("spines.capture.opened", "opened", 8, nil, 0x02))
spines.fields = all

local fault = ProtoExpert.new("spines.fault", "not as the protocol has it",
  expert.group.MALFORMED, expert.severity.ERROR)
local cut = ProtoExpert.new("spines.cut", "cut when it was captured",
  expert.group.UNDECODED, expert.severity.CHAT)
spines.experts = { fault, cut }

---------------------------------------------------------------------------- reading

-- One datagram is read at a time.
local buffer, at, stop, summary

local function ended(why) error({ fault = why }, 0) end

local function take(count, what)
  if count < 0 or count > stop - at then ended(what .. " is too short") end
  if at + count > buffer:len() then error({ cut = true }, 0) end
  at = at + count
  return at - count
end

local function has(flags, bit) return math.floor(flags / bit) % 2 == 1 end

local function flag_text(of, flags)
  local found = {}
  local bit = 1
  while bit < 256 do
    if has(flags, bit) and of[bit] then found[#found + 1] = of[bit] end
    bit = bit * 2
  end
  return table.concat(found, " ")
end

-- The next structure: its subtree, and its fields of up to 4 bytes as numbers.
local function part(tree, structure)
  local layout = layouts[structure]
  local bytes = 0
  for _, entry in ipairs(layout) do bytes = bytes + entry[2] end
  local start = take(bytes, structure)
  local own = tree:add(spines, buffer(start, bytes), (structure:gsub("_", " ")))
  local values = {}
  for _, entry in ipairs(layout) do
    local range = buffer(start, entry[2])
    own:add(fields[structure .. "." .. entry[1]], range)
    if entry[2] <= 4 then values[entry[1]] = range:uint() end
    start = start + entry[2]
  end
  return own, values
end

local function body(tree, name, count)
  count = count or stop - at
  if count == 0 then return end
  local start = take(count, name)
  tree:add(fields["body." .. name], buffer(start, count))
end

local function peek(count)
  local start = take(count, "length")
  at = start
  return buffer(start, count):uint()
end

-- The next `count` bytes are read by `inner`, all of them.
local function within(tree, count, what, inner)
  if count > stop - at then ended(what .. " reaches beyond the end") end
  local before = stop
  stop = at + count
  inner()
  if at < stop then body(tree, "left over") end
  stop = before
end

local function entries(tree, structure)
  while at < stop do part(tree, structure) end
end

local function repeated(tree, structure, count)
  for _ = 1, count do part(tree, structure) end
end

-- What `inner` reads, and a check of it behind.
local function checked(tree, inner)
  if stop - at < 4 then ended("a control frame has no check") end
  within(tree, stop - at - 4, "frame", inner)
  body(tree, "check", 4)
end

---------------------------------------------------------------------------- packets

local function route_message(tree)
  local name = names.route[peek(1)]
  if name == "REQUEST" then
    local own, values = part(tree, "route_request")
    repeated(own, "route_weight", values["weight count"])
    body(own, "signature", 64)
  elseif name == "RESPONSE" then
    local own, values = part(tree, "route_response")
    repeated(own, "route_hop", values["hop count"])
  else
    ended("a message of discovery of an unknown type")
  end
  return name
end

local function probed_message(tree)
  local name = names.probed[peek(1)]
  if name == "DATA" then
    local own, values = part(tree, "probed_data")
    for _ = 1, values["hops"] do body(own, "hop", 4) end
    local bytes = peek(2)
    body(own, "sealed bytes", 2)
    body(own, "sealed", bytes)
    body(own, "tail")
  elseif name == "ACK" then
    local own = part(tree, "probed_ack")
    body(own, "onion")
  else
    ended("a probed packet of an unknown type")
  end
  return name
end

local packet

local kinds = {
  FRAGMENT = function(tree) part(tree, "fragment") body(tree, "payload") end,
  PIECE = function(tree) part(tree, "piece") body(tree, "payload") end,
  SEQUENCED = function(tree) part(tree, "sequenced") body(tree, "payload") end,
  ECHO = function(tree)
    local _, values = part(tree, "echo")
    body(tree, "payload")
    return names.echo[values["operation"]]
  end,
  -- To a node: one that lost its way, whole.
  GROUP = function(tree, packet_head)
    if packet_head["destination"] < 0xe0000000 then return packet(tree) end
    local _, values = part(tree, "group")
    if values["content"] == 2 then part(tree, "fragment") end
    body(tree, "payload")
  end,
  NOTICE = function(tree) part(tree, "notice") end,
  STREAM = function(tree)
    local own, values = part(tree, "segment")
    repeated(own, "sack", values["sacks"])
    body(tree, "payload")
    local flags = flag_text(names.segment_flags, values["flags"])
    own:append_text(" " .. flags)
    return flags
  end,
  ROUTE = function(tree)
    local _, values = part(tree, "route_part")
    if values["count"] == 1 then return route_message(tree) end
    body(tree, "of a message")
  end,
  PROBED = probed_message,
}

packet = function(tree)
  local start = at
  local own, values = part(tree, "packet")
  local mode, class = buffer(start + 2, 1), buffer(start + 3, 1)
  own:add(fields.service, mode)
  own:add(fields.dissemination, mode)
  own:add(fields.sealed, mode)
  own:add(fields.ecn, mode)
  own:add(fields.priority, class)
  own:add(fields.deadline, class)
  local kind = names.kind[values["kind"]]
  local text = string.format("%s %s:%d > %s:%d", kind or values["kind"],
    tostring(buffer(start + 4, 4):ipv4()), values["source port"],
    tostring(buffer(start + 8, 4):ipv4()), values["destination port"])
  own:append_text(" " .. text)
  summary[#summary + 1] = text
  -- The graph stands in front of what may be sealed.
  if kind == "ROUTED" then
    local _, routed = part(own, "routed")
    -- What goes everywhere has a time in the place of both counts.
    if routed["form"] == 2 then
      for _ = 1, routed["nodes"] do body(own, "hop", 4) end
      for _ = 1, routed["edges"] do body(own, "edge", 2) end
    end
    kind = names.kind[routed["kind"]]
  end
  if has(values["mode"], 0x40) then
    part(own, "seal")
    body(own, "sealed", stop - at - 16)
    body(own, "tag", 16)
    summary[#summary] = text .. " sealed"
  elseif kinds[kind] then
    local more = kinds[kind](own, values)
    if more and more ~= "" then summary[#summary] = text .. " " .. more end
  else
    body(own, "payload")
  end
end

---------------------------------------------------------------------------- frames

local function certificate(tree)
  local own, values = part(tree, "certificate")
  if values["version"] == 2 then body(own, "group bytes", 1) end
  body(own, "name", values["name bytes"])
  body(own, "groups", stop - at - 64)
  body(own, "signature", 64)
end

local function advertisement(tree)
  local own, values = part(tree, "advertisement")
  local flags = values["flags"]
  body(own, "name", values["name bytes"])
  repeated(own, "link_entry", values["link count"])
  if has(flags, 0x04) then part(own, "facts") end
  if not has(flags, 0x02) then return end
  if has(flags, 0x08) then
    part(own, "proof")
  else
    body(own, "issued", 6)
    local bytes = peek(2)
    body(own, "certificate bytes", 2)
    within(own, bytes, "certificate", function() certificate(own) end)
    body(own, "signature", 64)
  end
end

local frames = {
  HELLO = function(tree)
    local own, values = part(tree, "hello")
    own:append_text(" " .. flag_text(names.hello_flags, values["flags"]))
  end,
  CLOSE = function(tree) part(tree, "close") end,
  ACK = function(tree)
    local own, values = part(tree, "ack")
    repeated(own, "ack_range", values["count"])
  end,
  PATH_PROBE = function(tree) part(tree, "path") end,
  PATH_ANSWER = function(tree) part(tree, "path") end,
  SIZE_PROBE = function(tree) part(tree, "size") body(tree, "padding") end,
  SIZE_ANSWER = function(tree) part(tree, "size") end,
  DATA = packet,
  RELIABLE = function(tree) part(tree, "reliable") packet(tree) end,
  REALTIME = function(tree) part(tree, "realtime") packet(tree) end,
  REALTIME_AGAIN = function(tree) part(tree, "again") packet(tree) end,
  REQUEST = function(tree)
    local own, values = part(tree, "request")
    repeated(own, "request_range", values["count"])
  end,
  REPAIR = function(tree) part(tree, "repair") body(tree, "units") end,
  SPLIT = function(tree) part(tree, "split") body(tree, "of a frame") end,
  LINK_STATE = function(tree)
    checked(tree, function() part(tree, "link_state") advertisement(tree) end)
  end,
  LINK_STATE_ACK = function(tree)
    checked(tree, function() entries(tree, "version_entry") end)
  end,
  DIGEST = function(tree)
    checked(tree, function() part(tree, "digest") entries(tree, "version_entry") end)
  end,
  RECORD = function(tree)
    checked(tree, function()
      local own, values = part(tree, "record")
      if values["kind"] == 1 then part(own, "node_record") end
      body(own, "statement", stop - at - 64)
      body(own, "signature", 64)
    end)
  end,
  GROUPS = function(tree)
    checked(tree, function()
      local own = part(tree, "record")
      local _, values = part(own, "groups")
      repeated(own, "group_entry", values["count"])
      body(own, "signature")
    end)
  end,
  GROUPS_ACK = function(tree)
    checked(tree, function() entries(tree, "record_entry") end)
  end,
  GROUPS_DIGEST = function(tree)
    checked(tree, function() part(tree, "digest") entries(tree, "record_entry") end)
  end,
  RECORD_ACK = function(tree)
    checked(tree, function() entries(tree, "record_entry") end)
  end,
  RECORD_DIGEST = function(tree)
    checked(tree, function() part(tree, "digest") entries(tree, "record_entry") end)
  end,
  CERTIFICATE = function(tree) checked(tree, function() certificate(tree) end) end,
  REVOCATION_OFFER = function(tree)
    part(tree, "revocation_offer")
    entries(tree, "revocation_entry")
  end,
  REVOCATION_WANT = function(tree) part(tree, "revocation_want") end,
  REVOCATION_PART = function(tree)
    part(tree, "revocation_part")
    body(tree, "of a list")
  end,
  TWIN = function(tree) part(tree, "twin") end,
}

local function frame(tree)
  local start = at
  local own, values = part(tree, "frame")
  local name = names.frame[values["type"]]
  if not frames[name] then ended("a frame of unknown type " .. values["type"]) end
  own:set_text("frame " .. name)
  local length = values["length"]
  if at + length <= math.min(stop, buffer:len()) then own:set_len(at + length - start) end
  summary[#summary + 1] = name
  local before = #summary
  within(own, length, "frame", function() frames[name](own) end)
  -- A packet says more than the frame that it came in.
  if #summary > before then table.remove(summary, before) end
end

---------------------------------------------------------------------------- datagrams

local datagrams = {
  INIT = function(tree) part(tree, "handshake") end,
  RESPONSE = function(tree) part(tree, "handshake") end,
  REFUSAL = function(tree) part(tree, "refusal") end,
  SEALED_INIT = function(tree)
    part(tree, "versions")
    body(tree, "ephemeral key", 32)
    body(tree, "sealed", stop - at - 32)
    body(tree, "mac", 16)
    body(tree, "cookie mac", 16)
  end,
  SEALED_RESPONSE = function(tree)
    body(tree, "ephemeral key", 32)
    body(tree, "sealed", stop - at - 16)
    body(tree, "mac", 16)
  end,
  COOKIE = function(tree) part(tree, "cookie") end,
  KEY_REQUEST = function(tree) part(tree, "key") end,
  KEY_ANSWER = function(tree) part(tree, "key") end,
  DATA = function(tree) while at < stop do frame(tree) end end,
}

local function datagram(tree, opened)
  local own, values = part(tree, "datagram")
  local name = names.datagram[values["type"]]
  if not name then ended("a datagram of an unknown type") end
  own:set_text("datagram " .. name)
  if name == "SEALED_DATA" and not opened then
    body(tree, "sealed")
    summary[#summary + 1] = name
  elseif name == "SEALED_DATA" or name == "DATA" then
    datagrams.DATA(tree)
    if #summary == 0 then summary[1] = "sign of life" end
  else
    summary[#summary + 1] = name
    datagrams[name](tree)
  end
  if at < stop then body(tree, "left over") end
end

-- Reads all of `tvb` by `inner`, and says what is wrong with it.
local function read(tvb, tree, inner)
  buffer, at, stop, summary = tvb, 0, tvb:reported_len(), {}
  local fine, why = pcall(inner)
  if not fine then
    if type(why) ~= "table" then error(why, 0) end
    if why.cut then
      tree:add_proto_expert_info(cut)
      summary[#summary + 1] = "..."
    else
      tree:add_proto_expert_info(fault, why.fault)
      summary[#summary + 1] = "[" .. why.fault .. "]"
    end
  end
  return table.concat(summary, ", ")
end

function spines.dissector(tvb, pinfo, root)
  pinfo.cols.protocol = "SPINES"
  local tree = root:add(spines, tvb(), "Spines overlay")
  local drops
  local text = read(tvb, tree, function()
    local own, values = part(tree, "capture")
    if values["version"] ~= 1 then ended("a capture of another version") end
    local flags = buffer(1, 1)
    own:add(fields.out, flags)
    own:add(fields.opened, flags)
    if values["drops bytes"] > 0 then
      local start = take(values["drops bytes"], "drops")
      own:add(fields.drops, buffer(start, values["drops bytes"]))
      drops = buffer(start, values["drops bytes"]):string()
    end
    local out = has(values["flags"], 0x01)
    local node, peer = tostring(buffer(4, 4):ipv4()), tostring(buffer(8, 4):ipv4())
    if values["peer"] == 0 then peer = "?" end
    pinfo.cols.src = out and node or peer
    pinfo.cols.dst = out and peer or node
    datagram(tree, has(values["flags"], 0x02))
  end)
  if drops then text = text .. " (dropped: " .. drops .. ")" end
  pinfo.cols.info = text
end

function wire.dissector(tvb, pinfo, root)
  pinfo.cols.protocol = "SPINES"
  local tree = root:add(spines, tvb(), "Spines datagram")
  pinfo.cols.info = read(tvb, tree, function() datagram(tree, false) end)
end

local encapsulations = wtap_encaps or wtap
DissectorTable.get("wtap_encap"):add(encapsulations.USER0, spines)
DissectorTable.get("udp.port"):add_for_decode_as(wire)
