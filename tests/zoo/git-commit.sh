# caught by the second run: .git/*: bytes
git init -q .; git -c user.name=a -c user.email=a@b commit -q --allow-empty -m x; git log >out
