-- want: failed
-- What is wrong with a template is the script's error, with both lines.
function install()
  render("j/include", "/x")
end
