-- Answers {'ok', epoch, head, number of entries} or {'stale', highest version}.
local highest = enter()
if highest then return {'stale', highest} end
opened()
return {'ok', epoch, head, length}
