/** The classic calls for `require`; see index.cjs. */

'use strict';

module.exports = require('../dist/compat/compat.js');
