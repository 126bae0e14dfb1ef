import type { Plugin } from './hooks.ts'

/**
 * A plugin for a broker whose `client.session` is an `S`: a `Plugin<S>`, or a `Plugin` without a type for it, which asks
 * nothing of the session. An interface of its own, because the compiler compares a `Plugin` with a `Plugin` by `S` alone.
 */
export interface PluginFor<S> extends Plugin<S> {}
