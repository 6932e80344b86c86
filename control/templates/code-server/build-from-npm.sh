#!/bin/bash
# Makes code-server from npm in the folder $1/code-server, without downloads by install scripts.
# Needs Node 20, npm, ripgrep, python3, make and g++.
set -euo pipefail
mkdir -p "$1/code-server"
cd "$1/code-server"
[ -f package.json ] || npm init -y >/dev/null
npm i --ignore-scripts --no-audit --no-fund code-server@4.100.3
npm rebuild argon2
vscode=node_modules/code-server/lib/vscode
(cd $vscode && npm install --omit=dev --ignore-scripts --no-audit --no-fund &&
  cd extensions && npm install --omit=dev --ignore-scripts --no-audit --no-fund)
node_home="$(dirname "$(dirname "$(readlink -f "$(command -v node)")")")"
gyp="$(npm root -g)/npm/node_modules/node-gyp/bin/node-gyp.js"
for module in node-pty @vscode/spdlog native-watchdog; do
  (cd "$vscode/node_modules/$module" && MAKEFLAGS=-j2 node "$gyp" rebuild --nodedir="$node_home")
done
mkdir -p $vscode/node_modules/@vscode/ripgrep/bin
cp "$(readlink -f "$(command -v rg)")" $vscode/node_modules/@vscode/ripgrep/bin/rg
ln -sfn node_modules $vscode/node_modules.asar
ln -sf code-linux.sh $vscode/bin/remote-cli/code-server
ln -sf browser-linux.sh $vscode/bin/helpers/browser.sh
find node_modules \( -name '*.map' -o -name obj.target -o -name .deps -o -name 'build-tmp-*' \) -prune -exec rm -rf {} +
rm -rf $vscode/node_modules/@vscode/windows-* $vscode/node_modules/@parcel/watcher-linux-x64-musl
