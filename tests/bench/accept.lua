-- Asks for a case never seen, each time. Arguments: folder of number.lua, number of the first case.
local at

function init(args)
  dofile(args[1] .. "/number.lua")
  at = tonumber(args[2])
end

function request()
  at = at + 1
  return wrk.format("POST", "/api/v1/processes/" .. number(at - 1) .. "/jobs")
end
