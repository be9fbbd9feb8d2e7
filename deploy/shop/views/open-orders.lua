-- What a customer has under way: orders that are neither confirmed nor cancelled.
local function due(open)
  local sum = 0
  for _, order in pairs(open) do
    if not order.paid then
      sum = sum + order.total
    end
  end
  return sum
end

function apply(event, state)
  state = state or {open = {}}
  local open = state.open
  if event.type == "OrderCreated" then
    open[event.key] = {total = event.data.total, paid = false}
  elseif event.type == "PaymentProcessed" then
    local order = open[event.data.orderId]
    if order then
      order.paid = true
    end
  else
    open[event.key] = nil
  end
  if next(open) == nil then
    return nil
  end
  state.due = due(open)
  return state
end
