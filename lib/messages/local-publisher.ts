import type { MessageInit } from '../../types/message.ts'
import type { Limits } from '../../types/options.ts'
import { MqttError } from '../errors.ts'
import type { Notify } from '../events.ts'
import type { Lifecycle } from '../lifecycle.ts'
import type { CommitQueue } from '../storage/commit-queue.ts'
import { storageRefusal } from '../storage/storage-refusal.ts'
import type { Timers } from '../timers.ts'
import { checkMessage, checkMessageSize } from './message-fields.ts'
import { Message } from './message.ts'
import { Publication } from './publication.ts'
import type { RetainedMessages } from './retained-messages.ts'
import type { Router } from './router.ts'

/** The parts of the broker that a message of the application needs. */
export interface LocalPublisherContext {
  readonly limits: Readonly<Limits>
  readonly timers: Timers
  readonly retained: RetainedMessages
  readonly router: Router
  readonly commits: CommitQueue | undefined
  readonly lifecycle: Lifecycle
  readonly notify: Notify
}

/** Publishes a message of the application, without a call of hooks. See `Broker.publish` for the errors. */
export async function publishLocally(broker: LocalPublisherContext, init: MessageInit): Promise<void> {
  const { limits, timers, lifecycle, retained, router, commits, notify } = broker
  checkMessage(init, limits.maxTopicLevels)
  const message = Message.of(init, undefined, timers)
  checkMessageSize(message)
  await lifecycle.restored
  if (message.retain && !retained.hasRoomFor(message)) {
    throw new MqttError('quota-exceeded', 'too many retained messages')
  }
  const publication = new Publication(message)
  router.publish(publication)
  notify('published', publication.message, undefined, false)
  if (commits?.isInOpenBatch(publication) !== true) return
  commits.markRejectable(publication)
  await committed(commits, () => router.rollback(publication))
}

/** Waits for the commit. If it fails, calls `undo` at once, before changes count as done, and rejects. */
export function committed(commits: Pick<CommitQueue, 'afterCommit'>, undo: () => void = nothing): Promise<void> {
  return new Promise((resolve, reject) => {
    commits.afterCommit(resolve, (error) => {
      undo()
      reject(storageRefusal(error))
    })
  })
}

function nothing(): void {
  // There is nothing to undo, or the change is committed later.
}
