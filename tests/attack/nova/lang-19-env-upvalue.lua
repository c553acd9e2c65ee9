-- want: done
-- Setting _ENV in a function gives no more than the script has.
function install()
  local real = _ENV
  local function f() local _ENV = setmetatable({}, {__index = real}) return io or os or debug or package or require end
  if f() then breach("a library through another _ENV") end
  _ENV = {breach = real.breach}
  if io then breach("io") end
end
