// Rhai for JupyterLab's editors: a prebuilt extension, written by hand as the container that module federation asks for.
(function () {
  'use strict';
  var scope;

  // A module that JupyterLab shares, in whatever version it has.
  function shared(name) {
    var versions = scope[name];
    var version = versions && Object.keys(versions)[0];
    if (!version) return Promise.reject(new Error('JupyterLab shares no ' + name));
    return Promise.resolve(versions[version].get()).then(function (make) { return make(); });
  }

  var KEYWORDS = words('let const if else switch while loop for in do until break continue return throw try catch fn ' +
    'private import export as global is_def_var is_def_fn this');
  var ATOMS = words('true false');

  function words(text) {
    return text.split(' ').reduce(function (all, word) { all[word] = true; return all; }, {});
  }

  // Reads a token; what goes on over lines is kept in the state.
  function token(stream, state) {
    if (state.within) return within(stream, state);
    if (stream.eatSpace()) return null;
    if (stream.sol() && stream.match(/^[:!?]\S.*/)) return 'meta';
    if (stream.match('//')) { stream.skipToEnd(); return 'comment'; }
    if (stream.match('/*')) { state.within = 'comment'; return within(stream, state); }
    if (stream.match('`')) { state.within = 'template'; return within(stream, state); }
    if (stream.match('"')) { state.within = 'string'; return within(stream, state); }
    if (stream.match(/^'(\\.|[^'\\])+'/)) return 'string';
    if (stream.match(/^(0x[\da-fA-F_]+|0b[01_]+|0o[0-7_]+|\d[\d_]*(\.\d[\d_]*)?([eE][+-]?\d+)?)/)) return 'number';
    if (stream.match(/^[A-Za-z_]\w*/)) {
      var word = stream.current();
      if (KEYWORDS[word]) return 'keyword';
      if (ATOMS[word]) return 'atom';
      return stream.match(/^\s*\(/, false) ? 'variableName.function' : 'variableName';
    }
    if (stream.match(/^(#\{|[{}()[\]])/)) return 'bracket';
    if (stream.match(/^[-+*\/%=<>!&|^~.?:]+/)) return 'operator';
    stream.next();
    return null;
  }

  function within(stream, state) {
    var end = { comment: '*/', template: '`', string: '"' }[state.within];
    var style = state.within === 'comment' ? 'comment' : 'string';
    while (!stream.eol()) {
      if (stream.match(end)) { state.within = null; return style; }
      if (stream.next() === '\\' && state.within !== 'comment') stream.next();
    }
    return style;
  }

  var plugin = function (registryToken, language) {
    return {
      id: 'etude-rhai:language',
      description: 'Rhai, the language of Étude',
      autoStart: true,
      requires: [registryToken],
      activate: function (app, languages) {
        var rhai = language.StreamLanguage.define({
          name: 'rhai',
          startState: function () { return { within: null }; },
          copyState: function (state) { return { within: state.within }; },
          token: token,
          languageData: { commentTokens: { line: '//', block: { open: '/*', close: '*/' } },
            closeBrackets: { brackets: ['(', '[', '{', '"', '`'] }, indentOnInput: /^\s*\}$/ }
        });
        languages.addLanguage({ name: 'rhai', displayName: 'Rhai', mime: ['text/x-rhai'], extensions: ['rhai'],
          support: new language.LanguageSupport(rhai) });
      }
    };
  };

  (window._JUPYTERLAB = window._JUPYTERLAB || {})['etude-rhai'] = {
    init: function (share) { scope = share; return Promise.resolve(); },
    get: function () {
      return Promise.all([shared('@jupyterlab/codemirror'), shared('@codemirror/language')]).then(function (modules) {
        var made = { __esModule: true, default: plugin(modules[0].IEditorLanguageRegistry, modules[1]) };
        return function () { return made; };
      });
    }
  };
})();
