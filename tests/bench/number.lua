-- The number of case n: scattered over the index of numbers, with right check digits (CNJ resolution
-- 65/2008: the number, its check digits moved to the end, is 1 modulo 97). queue.c does the same.
function number(n)
  local scattered = n % 10000000 * 6700417 % 10000000
  local year = 2000 + math.floor(n / 10000000) % 100
  local r = scattered % 97
  r = (r * 10000 + year) % 97
  r = (r * 10000000 + 8260100) % 97
  return string.format("%07d%02d%04d8260100", scattered, 98 - r * 100 % 97, year)
end
