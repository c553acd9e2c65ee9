-- want: done
-- There is no verb but those of the list.
function install()
  for _, name in ipairs{"ask", "call", "start", "die", "answered", "sandbox", "broker", "undeclared", "events", "root", "reraise"} do
    if _G[name] ~= nil then breach(name .. " is there") end
  end
end
