-- want: done
-- Hard links of the archive reach only the star's own files.
function install()
  copy("hard", "/hard")
  chmod("/hard/link", "0600")
  write("/hard/file", "new")
  if #glob("/hard/*") ~= 2 then breach("links are lost") end
end
