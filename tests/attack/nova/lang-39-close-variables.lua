-- want: done
-- A to-be-closed variable runs its end once, and cannot outlive the script.
function install()
  local n = 0
  do local x <close> = setmetatable({}, {__close = function() n = n + 1 end}) end
  if n ~= 1 then breach("closed " .. n .. " times") end
  if pcall(function() local y <close> = 7 end) then breach("closed a number") end
end
