-- Asks for the status of a case taken at random from the first N. Arguments: folder of number.lua, N.
local count

function init(args)
  dofile(args[1] .. "/number.lua")
  count = tonumber(args[2])
end

function request()
  return wrk.format("GET", "/api/v1/processes/" .. number(math.random(0, count - 1)) .. "/status")
end
