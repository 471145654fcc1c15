/** The same module for `require`: Node 20.19 and later load ES modules by it. */

'use strict';

module.exports = require('../dist/index.js');
